import './fits.mjs';
import './policies.mjs';
import './deadlines.mjs';
import './conversations.mjs';
