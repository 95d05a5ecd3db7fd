#include "api/batch/batch_form.h"

#include "common/limits.h"
#include "common/rand.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int batch_form_file(const char *folder)
{
    int fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    return fd < 0 ? -errno : fd;
}

void batch_form_init(struct batch_form *f)
{
    *f = (struct batch_form){.fd = -1};
}

void batch_form_release(struct batch_form *f)
{
    if (f->body)
        (void)munmap(f->body, f->len);
    if (f->fd >= 0)
        (void)close(f->fd);
    batch_form_init(f);
}

static int put(struct batch_form *f, const char *bytes, size_t len)
{
    for (size_t done = 0; done < len;) {
        ssize_t n = write(f->fd, bytes + done, len - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -EIO;
        done += (size_t)n;
    }
    f->len += len;
    return 0;
}

static bool is_anthropic(const struct batch_form_source *s)
{
    return wire_format_of(s->endpoint) == WIRE_ANTHROPIC;
}

static int begin(struct batch_form *f, const struct batch_form_source *s, const char *folder)
{
    static const char requests[] = "{\"requests\":[\n";
    char head[512], random[33];
    f->fd = batch_form_file(folder);
    f->begun = true;
    if (f->fd < 0)
        return f->fd;
    if (is_anthropic(s))
        return put(f, requests, sizeof(requests) - 1);
    /* Random, so that no line can hold it. */
    rand_hex(random, 32);
    (void)snprintf(f->boundary, sizeof(f->boundary), "sluice-%s", random);
    int n = snprintf(head, sizeof(head),
                     "--%s\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nbatch\r\n"
                     "--%s\r\nContent-Disposition: form-data; name=\"file\"; "
                     "filename=\"%.100s.jsonl\"\r\nContent-Type: application/jsonl\r\n\r\n",
                     f->boundary, f->boundary, s->name);
    return put(f, head, (size_t)n);
}

/* The request as the provider shall have it, under its own name of the model. */
static int write_body(const struct batch_form_source *s, struct json_span body, struct buf *out)
{
    struct wire_request r;
    struct error e;
    struct buf model;
    const char *upstream = NULL;
    int rc = wire_request_read(s->endpoint, body.at, body.len, &r, &e);
    if (rc < 0)
        return rc;
    buf_init(&model, BATCH_MODEL_BYTES - 1);
    rc = json_text(r.model, &model);
    if (rc == 0 && (!batch_way_row(&s->way, model.data, &upstream)))
        rc = -ESRCH; /* the configuration has changed meanwhile */
    if (rc == 0 && strcmp(upstream, model.data) != 0)
        rc = wire_request_set_model(&r, upstream, out);
    else if (rc == 0)
        rc = buf_add(out, body.at, body.len);
    buf_release(&model);
    return rc;
}

static int put_line(struct batch_form *f, const struct batch_form_source *s, size_t line)
{
    struct buf out;
    bool anthropic = is_anthropic(s);
    buf_init(&out, FILE_MAX_BYTES + MIB);
    (void)buf_addf(&out, "%s{\"custom_id\":\"%s-%u\",", anthropic && f->any ? ",\n" : "", s->tag,
                   s->input->lines[line].number);
    if (anthropic)
        (void)buf_adds(&out, "\"params\":");
    else
        (void)buf_addf(&out,
                       "\"method\":\"POST\",\"url\":\"%s\",\"body\":", wire_path(s->endpoint));
    int rc = write_body(s, batch_input_body(s->input, line), &out);
    (void)buf_adds(&out, anthropic ? "}" : "}\n");
    if (rc == 0)
        rc = out.failed ? out.failed : put(f, out.data, out.len);
    buf_release(&out);
    f->any = true;
    return rc;
}

static int end(struct batch_form *f, const struct batch_form_source *s)
{
    char tail[96];
    if (!f->any) {
        f->len = 0;
        return 0;
    }
    int n = is_anthropic(s) ? snprintf(tail, sizeof(tail), "]}\n")
                            : snprintf(tail, sizeof(tail), "\r\n--%s--\r\n", f->boundary);
    int rc = put(f, tail, (size_t)n);
    if (rc < 0)
        return rc;
    void *map = mmap(NULL, f->len, PROT_READ, MAP_PRIVATE, f->fd, 0);
    if (map == MAP_FAILED)
        return -errno;
    f->body = map;
    return 0;
}

int batch_form_step(struct batch_form *f, const struct batch_form_source *s, const char *folder,
                    size_t budget)
{
    if (f->body)
        return 0;
    int rc = f->begun ? 0 : begin(f, s, folder);
    for (size_t done = 0; rc == 0 && f->at < s->input->count && done < budget; f->at++) {
        if (s->done[f->at])
            continue;
        rc = put_line(f, s, f->at);
        done += s->input->lines[f->at].len;
    }
    if (rc < 0)
        return rc;
    return f->at < s->input->count ? 1 : end(f, s);
}

long batch_form_line(const struct batch_input *in, const char *tag, struct json_span custom)
{
    size_t len = strlen(tag), low = 0, high = in->count;
    uint32_t number = 0;
    if (!custom.at || custom.len < len + 2 || custom.len > len + 9 ||
        memcmp(custom.at, tag, len) != 0 || custom.at[len] != '-')
        return -1;
    for (size_t i = len + 1; i < custom.len; i++) {
        if (custom.at[i] < '0' || custom.at[i] > '9')
            return -1;
        number = number * 10 + (uint32_t)(custom.at[i] - '0');
    }
    while (low < high) { /* lines stand in the order of their numbers */
        size_t middle = (low + high) / 2;
        if (in->lines[middle].number == number)
            return (long)middle;
        if (in->lines[middle].number < number)
            low = middle + 1;
        else
            high = middle;
    }
    return -1;
}
