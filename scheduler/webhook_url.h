/*
 * webhook_url: where a webhook may be sent to.
 *
 * A URL comes from whoever submits a job, and this process stands inside of a network: without
 * these rules a caller could have it speak to what is reachable from here only. A name may resolve
 * to another address at each look (DNS rebinding), so webhook_address_is_public() is asked for the
 * address that a connection is made to; the check of the URL refuses early what is refused for
 * sure.
 *
 * Not public: RFC 6890's special ranges for IPv4 (0/8, 10/8, 100.64/10, 127/8, 169.254/16,
 * 172.16/12, 192.0.0/24, 192.0.2/24, 192.88.99/24, 192.168/16, 198.18/15, 198.51.100/24,
 * 203.0.113/24, 224/4, 240/4) and for IPv6 all that is not in 2000::/3, of that 2001::/23,
 * 2001:db8::/32 and 3fff::/20, and each form that holds an IPv4 address that is not public (mapped,
 * 64:ff9b::/96, 6to4).
 *
 *   threads  none; pure.
 */
#ifndef SCHEDULER_WEBHOOK_URL_H
#define SCHEDULER_WEBHOOK_URL_H

#include "common/error.h"
#include "common/limits.h"

#include <stdbool.h>

struct sockaddr;

bool webhook_address_is_public(const struct sockaddr *address);

/* http or https, a host, no user, no fragment, at most WEBHOOK_MAX_URL_BYTES; unless private hosts
 * are allowed, none that is an address which is not public, or localhost. -EINVAL with e, which
 * does not repeat the URL; -ENOMEM. */
int webhook_url_check(const char *url, bool allow_private, struct error *e) MUST_CHECK;

/* Stands for the tenant and the URL's scheme, host and port: what shares places. */
#define WEBHOOK_ENDPOINT_BYTES 33
void webhook_url_endpoint(const char *tenant, const char *url, char ret[WEBHOOK_ENDPOINT_BYTES]);

/* Without its query, which may hold a key: for the list of deliveries, which is its tenant's own.
 */
#define WEBHOOK_SHOWN_BYTES 512
const char *webhook_url_shown(const char *url, char ret[WEBHOOK_SHOWN_BYTES]);
/* Its scheme, host and port: for logs. Of many services (Slack, Discord, Teams) the path is all
 * that one has to know to post there. */
const char *webhook_url_server(const char *url, char ret[WEBHOOK_SHOWN_BYTES]);

#endif
