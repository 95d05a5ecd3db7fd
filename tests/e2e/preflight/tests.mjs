import './fits.mjs';
import './policies.mjs';
import './deadlines.mjs';
import './conversations.mjs';
import './summaries.mjs';
