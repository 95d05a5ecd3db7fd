import './life.mjs';
import './many.mjs';
import './faults.mjs';
import './restarts.mjs';
