// All suites in one process, one after the other: `node --test` runs files side by side.
import './openai.mjs';
import './anthropic.mjs';
import './tools.mjs';
import './errors.mjs';
import './waiting.mjs';
import './aborts.mjs';
import './faults.mjs';
import './limits.mjs';
import './passing.mjs';
import './keys.mjs';
import './costs.mjs';
import './batches.mjs';
import './provider_batches.mjs';
