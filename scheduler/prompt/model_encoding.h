/*
 * model_encoding: which encoding counts for which model, as tiktoken's model.py has it.
 */
#ifndef SCHEDULER_PROMPT_MODEL_ENCODING_H
#define SCHEDULER_PROMPT_MODEL_ENCODING_H

/* What OpenAI's models since gpt-4o use: the best guess for an unknown one. */
#define MODEL_ENCODING_DEFAULT "o200k_base"

/* Static storage; NULL for a model that the table does not know. An exact name wins over a
 * prefix. */
const char *model_encoding(const char *model);

#endif
