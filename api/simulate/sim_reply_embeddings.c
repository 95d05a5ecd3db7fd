#include "api/simulate/sim_reply_formats.h"

#include <inttypes.h>
#include <string.h>

_Static_assert(sizeof(float) == 4 && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "base64 embeddings are little-endian 32-bit floats");

/* The official SDKs ask for base64 unless told otherwise. */
static void add_base64(struct buf *out, const unsigned char *bytes, size_t len)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < len; i += 3) {
        uint32_t three = (uint32_t)bytes[i] << 16;
        three |= i + 1 < len ? (uint32_t)bytes[i + 1] << 8 : 0;
        three |= i + 2 < len ? bytes[i + 2] : 0;
        const char four[4] = {
            digits[three >> 18],
            digits[three >> 12 & 63],
            i + 1 < len ? digits[three >> 6 & 63] : '=',
            i + 2 < len ? digits[three & 63] : '=',
        };
        (void)buf_add(out, four, sizeof(four));
    }
}

static void add_vector(struct buf *out, const float *vector, size_t dims, bool base64)
{
    if (base64) {
        (void)buf_adds(out, "\"");
        add_base64(out, (const unsigned char *)vector, dims * sizeof(*vector));
        (void)buf_adds(out, "\"");
        return;
    }
    (void)buf_adds(out, "[");
    for (size_t i = 0; i < dims; i++)
        (void)buf_addf(out, "%s%.8g", i ? "," : "", (double)vector[i]);
    (void)buf_adds(out, "]");
}

static void embeddings_whole(const struct sim_reply *r, struct buf *out)
{
    float vector[SIM_MAX_EMBEDDING_DIMS];
    const json_t *asked = json_object_get(r->body, "dimensions");
    const char *format = json_string_value(json_object_get(r->body, "encoding_format"));
    bool base64 = format && strcmp(format, "base64") == 0;
    size_t dims = json_is_integer(asked) ? (size_t)json_integer_value(asked) : r->embedding_dims;
    size_t count = sim_embedding_count(r->body);

    (void)buf_adds(out, "{\"object\":\"list\",\"data\":[");
    for (size_t i = 0; i < count; i++) {
        sim_embedding(sim_embedding_hash(r->body, i), vector, dims);
        (void)buf_addf(out,
                       "%s{\"object\":\"embedding\",\"index\":%zu,\"embedding\":", i ? "," : "", i);
        add_vector(out, vector, dims, base64);
        (void)buf_adds(out, "}");
    }
    (void)buf_adds(out, "],");
    sim_reply_pair(out, "model", r->model);
    (void)buf_addf(out, ",\"usage\":{\"prompt_tokens\":%" PRId64 ",\"total_tokens\":%" PRId64 "}}",
                   r->input_tokens, r->input_tokens);
}

const struct sim_format sim_format_embeddings = {"embd-", embeddings_whole, NULL, NULL, NULL};
