#include "api/tls.h"

#include <errno.h>
#include <event2/bufferevent_ssl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdlib.h>

struct tls {
    SSL_CTX *context;
};

static int refuse(const char *what, const char *path, struct error *e)
{
    char why[128];
    ERR_error_string_n(ERR_peek_last_error(), why, sizeof(why));
    const char *reason = ERR_reason_error_string(ERR_peek_last_error());
    ERR_clear_error();
    return error_set(e, -EINVAL, "%s %s cannot be used: %s", what, path, reason ? reason : why);
}

static int no_passphrase(char *out, int size, int writing, void *arg)
{
    (void)out;
    (void)size;
    (void)writing;
    (void)arg;
    return 0;
}

static int load(SSL_CTX *c, const char *certificate, const char *key, struct error *e)
{
    SSL_CTX_set_default_passwd_cb(c, no_passphrase);
    if (SSL_CTX_use_certificate_chain_file(c, certificate) != 1)
        return refuse("tls.certificate", certificate, e);
    if (SSL_CTX_use_PrivateKey_file(c, key, SSL_FILETYPE_PEM) != 1 ||
        SSL_CTX_check_private_key(c) != 1)
        return refuse("tls.key", key, e);
    return 0;
}

int tls_reload(struct tls *t, const char *certificate, const char *key, struct error *e)
{
    SSL_CTX *fresh = SSL_CTX_new(TLS_server_method());
    if (!fresh || SSL_CTX_set_min_proto_version(fresh, TLS1_2_VERSION) != 1) {
        SSL_CTX_free(fresh);
        return error_set(e, -ENOMEM, "out of memory");
    }
    (void)SSL_CTX_set_options(fresh, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    (void)SSL_CTX_set_mode(fresh, SSL_MODE_RELEASE_BUFFERS);
    int rc = load(fresh, certificate, key, e);
    if (rc < 0) {
        SSL_CTX_free(fresh);
        return rc;
    }
    SSL_CTX_free(t->context);
    t->context = fresh;
    return 0;
}

struct tls *tls_new(const char *certificate, const char *key, struct error *e)
{
    struct tls *t = calloc(1, sizeof(*t));
    if (!t) {
        error_set(e, -ENOMEM, "out of memory");
        return NULL;
    }
    if (tls_reload(t, certificate, key, e) < 0) {
        tls_free(t);
        return NULL;
    }
    return t;
}

void tls_free(struct tls *t)
{
    if (!t)
        return;
    SSL_CTX_free(t->context);
    free(t);
}

struct bufferevent *tls_accept(struct tls *t, struct event_base *base)
{
    SSL *ssl = SSL_new(t->context);
    if (!ssl)
        return NULL;
    struct bufferevent *bev = bufferevent_openssl_socket_new(
        base, -1, ssl, BUFFEREVENT_SSL_ACCEPTING, BEV_OPT_CLOSE_ON_FREE);
    if (!bev) {
        SSL_free(ssl);
        return NULL;
    }
    /* Most clients just close; HTTP's own framing tells whether a request is whole. */
    bufferevent_openssl_set_allow_dirty_shutdown(bev, 1);
    return bev;
}

void tls_say_end(struct bufferevent *bev)
{
    SSL *ssl = bufferevent_openssl_get_ssl(bev);
    if (ssl && SSL_is_init_finished(ssl))
        (void)SSL_shutdown(ssl);
    ERR_clear_error(); /* of a client that is gone already */
}
