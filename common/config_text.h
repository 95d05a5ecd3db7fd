/*
 * config_text: what a text value of the configuration may look like.
 *
 * Each function returns NULL when the text is fine, else the reason as the rest of a
 * sentence that begins with the key's name. Pure.
 */
#ifndef COMMON_CONFIG_TEXT_H
#define COMMON_CONFIG_TEXT_H

#include <stdbool.h>

const char *config_text_name(const char *text);     /* letters, digits and . _ : @ / - */
const char *config_text_provider(const char *text); /* a name without / and : */
const char *config_text_pattern(const char *text);  /* a name with at most one '*', its last */
const char *config_text_url(const char *text);      /* http or https, no user, query, fragment */
const char *config_text_redis(const char *text);    /* "", redis://... or unix://... */
const char *config_text_listen(const char *text);   /* 127.0.0.1:8080, [::1]:0, unix:PATH */
const char *config_text_sha256(const char *text);   /* 64 lower-case hex digits */
const char *config_text_preset(const char *text);   /* a built-in way of trimming */
const char *config_text_strategy(const char *text); /* a strategy of trimming */
const char *config_text_scopes(const char *text);   /* of proxy, jobs, permits, stats, admin */
const char *config_text_webhook(const char *text);  /* http or https, no user, no fragment */
const char *config_text_webhook_secret(const char *text); /* whsec_..., parted by blanks */
const char *config_text_money(const char *text);          /* US dollars, nine decimals */
const char *config_text_price(const char *text);          /* the same for a million tokens, six */
const char *config_text_period(const char *text);         /* 12h, 30d, 1mo */
const char *config_text_line(const char *text);           /* printable, not empty */

/* Whether a valid listen address can be reached from this machine only. */
bool config_text_is_loopback(const char *listen);

#endif
