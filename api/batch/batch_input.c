#include "api/batch/batch_input.h"

#include "common/limits.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

int batch_input_open(struct batch_input *in, const char *path)
{
    struct stat st;
    *in = (struct batch_input){.errors = json_array()};
    int fd = in->errors ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    int rc = fd < 0 ? (in->errors ? -errno : -ENOMEM) : 0;
    if (rc == 0 && fstat(fd, &st))
        rc = -errno;
    if (rc == 0 && st.st_size > 0) {
        void *map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        rc = map == MAP_FAILED ? -errno : 0;
        in->text = rc == 0 ? map : NULL;
        in->len = rc == 0 ? (size_t)st.st_size : 0;
    }
    if (fd >= 0)
        (void)close(fd);
    if (rc < 0)
        batch_input_release(in);
    return rc;
}

void batch_input_release(struct batch_input *in)
{
    if (in->text)
        (void)munmap((void *)in->text, in->len);
    free(in->lines);
    free(in->order);
    json_decref(in->errors);
    *in = (struct batch_input){.text = NULL};
}

/* ---- what is wrong */

struct fault {
    const char *code, *param;
    const char *message;
};

static int add_fault(struct batch_input *in, uint32_t number, const struct fault *f)
{
    if (json_array_size(in->errors) >= BATCH_MAX_ERRORS)
        return 0;
    json_t *error = json_pack("{s:s, s:I, s:s, s:s?}", "code", f->code, "line", (json_int_t)number,
                              "message", f->message, "param", f->param);
    return error && json_array_append_new(in->errors, error) == 0 ? 0 : -ENOMEM;
}

/* ---- lines */

static int add_line(struct batch_input *in, const struct batch_line *line)
{
    if (in->count == in->room) {
        size_t room = in->room ? in->room * 2 : 256;
        struct batch_line *lines = realloc(in->lines, room * sizeof(*lines));
        if (!lines)
            return -ENOMEM;
        in->lines = lines;
        in->room = room;
    }
    in->lines[in->count++] = *line;
    return 0;
}

static bool check_line(struct json_span line, const char *endpoint, struct fault *f)
{
    struct error e;
    if (json_scan_check(line.at, line.len, &e) < 0 || json_kind(line) != JSON_OBJ) {
        *f = (struct fault){"invalid_json_line", NULL, "This line is not a JSON object."};
        return false;
    }
    struct json_span custom = json_inside(json_get(line, "custom_id"));
    if (!custom.at || custom.len < 1 || custom.len > BATCH_CUSTOM_ID_BYTES)
        *f = (struct fault){"missing_required_parameter", "custom_id",
                            "custom_id must be a text of 1 to 512 bytes."};
    else if (!json_equals(json_get(line, "method"), "POST"))
        *f = (struct fault){"invalid_method", "method", "method must be POST."};
    else if (!json_equals(json_get(line, "url"), endpoint))
        *f = (struct fault){"invalid_url", "url", "url must be the endpoint of the batch."};
    else if (json_kind(json_get(line, "body")) != JSON_OBJ)
        *f = (struct fault){"missing_required_parameter", "body", "body must be an object."};
    else
        return true;
    return false;
}

static int take_line(struct batch_input *in, struct json_span text, const char *endpoint)
{
    struct fault f;
    struct batch_line line = {
        .at = (size_t)(text.at - in->text), .len = (uint32_t)text.len, .number = in->number};
    if (in->count >= BATCH_MAX_LINES) {
        f = (struct fault){"too_many_tasks", NULL, "A batch has at most 50,000 requests."};
        in->at = in->len;
        return add_fault(in, in->number, &f);
    }
    if (!check_line(text, endpoint, &f))
        return add_fault(in, in->number, &f);
    line.custom = json_inside(json_get(text, "custom_id"));
    return add_line(in, &line);
}

static int compare(struct json_span a, struct json_span b)
{
    int order = memcmp(a.at, b.at, a.len < b.len ? a.len : b.len);
    return order ? order : (a.len > b.len) - (a.len < b.len);
}

static int by_custom(const void *a, const void *b, void *arg)
{
    const struct batch_line *lines = arg;
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    int order = compare(lines[x].custom, lines[y].custom);
    return order ? order : (x > y) - (x < y);
}

static int sort(struct batch_input *in)
{
    static const struct fault twice = {"duplicate_custom_id", "custom_id",
                                       "This custom_id stands in an earlier line, too."};
    static const struct fault empty = {"empty_file", NULL, "The file has no requests."};
    in->order = calloc(in->count + 1, sizeof(*in->order));
    if (!in->order)
        return -ENOMEM;
    for (size_t i = 0; i < in->count; i++)
        in->order[i] = (uint32_t)i;
    qsort_r(in->order, in->count, sizeof(*in->order), by_custom, in->lines);
    int rc = 0;
    if (in->count == 0 && json_array_size(in->errors) == 0)
        rc = add_fault(in, 1, &empty);
    for (size_t i = 1; i < in->count && rc == 0; i++) {
        const struct batch_line *line = &in->lines[in->order[i]];
        if (compare(in->lines[in->order[i - 1]].custom, line->custom) == 0)
            rc = add_fault(in, line->number, &twice);
    }
    return rc;
}

int batch_input_step(struct batch_input *in, const char *endpoint, size_t budget)
{
    size_t until = in->at + budget;
    int rc = 0;
    while (in->at < in->len && in->at < until && rc == 0) {
        const char *start = in->text + in->at;
        const char *stop = memchr(start, '\n', in->len - in->at);
        size_t len = stop ? (size_t)(stop - start) : in->len - in->at;
        struct json_span text = json_span_of(start, len);
        in->at += len + (stop != NULL);
        in->number++;
        if (text.len > 0)
            rc = take_line(in, text, endpoint);
    }
    if (rc == 0 && in->at < in->len)
        return 1;
    return rc == 0 ? sort(in) : rc;
}

long batch_input_find(const struct batch_input *in, struct json_span custom)
{
    size_t low = 0, high = in->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        int order = compare(in->lines[in->order[middle]].custom, custom);
        if (order == 0)
            return in->order[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return -1;
}

struct json_span batch_input_body(const struct batch_input *in, size_t index)
{
    if (index >= in->count)
        return (struct json_span){.at = NULL};
    const struct batch_line *line = &in->lines[index];
    return json_get(json_span_of(in->text + line->at, line->len), "body");
}
