/*
 * tls_server: `openssl s_server` on 127.0.0.1 with a certificate made for the test.
 *
 * The certificate is signed by itself, so that its own file is the one to trust. Every
 * request is answered with a page of the server's.
 *
 *   ownership  tls_server_stop() ends the process and removes the folder.
 *   errors     failures end the test program; without the openssl program start says so.
 */
#ifndef TESTS_SUPPORT_TLS_SERVER_H
#define TESTS_SUPPORT_TLS_SERVER_H

#include <stdbool.h>
#include <sys/types.h>

struct tls_server {
    char dir[64];
    char cert[96], key[96];
    unsigned port;
    pid_t pid;
    int output; /* the server's standard output */
};

/* Two files that do not exist yet. */
bool tls_certificate(const char *cert, const char *key, const char *alt_name);
/* alt_name: what the certificate is for, such as "IP:127.0.0.1". False without openssl. */
bool tls_server_start(struct tls_server *s, const char *alt_name);
void tls_server_stop(struct tls_server *s);

#endif
