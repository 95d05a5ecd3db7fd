#include "scheduler/webhook_sign.h"

#include "common/base64.h"
#include "common/digest.h"
#include "common/limits.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

static int sign_with(const char *secret, size_t len, const struct buf *content, struct buf *out)
{
    unsigned char key[WEBHOOK_MAX_SECRET_BYTES], sum[DIGEST_HMAC_BYTES];
    const size_t skip = strlen(WEBHOOK_SECRET_PREFIX);
    if (len <= skip)
        return -EINVAL;
    int n = base64_decode(secret + skip, len - skip, key, sizeof(key));
    if (n < 0)
        return n;
    int rc = digest_hmac(key, (size_t)n, content->data, content->len, sum);
    explicit_bzero(key, sizeof(key));
    if (rc == 0)
        rc = buf_adds(out, out->len > 0 ? " v1," : "v1,");
    return rc < 0 ? rc : base64_encode(sum, sizeof(sum), out);
}

int webhook_sign(const char *secrets, const struct webhook_message *m, struct buf *out)
{
    struct buf content;
    int rc = -EINVAL;
    buf_init(&content, m->body_len + 256);
    (void)buf_addf(&content, "%s.%" PRId64 ".", m->id, m->at_s);
    if (buf_add(&content, m->body, m->body_len) < 0 || content.failed) {
        rc = content.failed;
        buf_release(&content);
        return rc;
    }
    for (const char *at = secrets + strspn(secrets, " "); *at; at += strspn(at, " ")) {
        size_t len = strcspn(at, " ");
        rc = sign_with(at, len, &content, out);
        if (rc < 0)
            break;
        at += len;
    }
    buf_release(&content);
    return rc;
}
