/*
 * route_www: the dashboard: a page, its scripts and its style, embedded in the program.
 *
 * The files need no key, as they hold no data; what the page shows it asks for with one. The
 * policy allows nothing but these files and calls to this service, so that a name with markup in
 * it could do nothing even if the page took it for markup.
 *
 * Names carry no version, so browsers keep the files but ask each time (no-cache); the ETag, a
 * digest of the bytes, makes the answer a 304.
 */
#include "api/answer.h"
#include "api/route.h"

#include "common/digest.h"

#include "www_embedded.h"

#include <stdio.h>
#include <string.h>

#define PAGE_POLICY                                                                                \
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "                \
    "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
#define SCRIPT "text/javascript; charset=utf-8"
#define STYLE  "text/css; charset=utf-8"
#define PAGE   "text/html; charset=utf-8"
#define PLAIN  "text/plain; charset=utf-8"

#define ETAG_DIGITS 32

struct www_file {
    const char *name, *type;
    const unsigned char *bytes;
    const size_t *size;
};

static const struct www_file page = {"", PAGE, www_index_html, &www_index_html_size};
static const struct www_file files[] = {
    {"app.js", SCRIPT, www_app_js, &www_app_js_size},
    {"chart.js", SCRIPT, www_chart_js, &www_chart_js_size},
    {"client.js", SCRIPT, www_client_js, &www_client_js_size},
    {"costs.js", SCRIPT, www_costs_js, &www_costs_js_size},
    {"dygraph.LICENSE.txt", PLAIN, www_dygraph_LICENSE_txt, &www_dygraph_LICENSE_txt_size},
    {"dygraph.min.css", STYLE, www_dygraph_min_css, &www_dygraph_min_css_size},
    {"dygraph.min.js", SCRIPT, www_dygraph_min_js, &www_dygraph_min_js_size},
    {"format.js", SCRIPT, www_format_js, &www_format_js_size},
    {"history.js", SCRIPT, www_history_js, &www_history_js_size},
    {"job.js", SCRIPT, www_job_js, &www_job_js_size},
    {"jobs.js", SCRIPT, www_jobs_js, &www_jobs_js_size},
    {"keys.js", SCRIPT, www_keys_js, &www_keys_js_size},
    {"overview.js", SCRIPT, www_overview_js, &www_overview_js_size},
    {"pools.js", SCRIPT, www_pools_js, &www_pools_js_size},
    {"page.js", SCRIPT, www_page_js, &www_page_js_size},
    {"past.js", SCRIPT, www_past_js, &www_past_js_size},
    {"pool_card.js", SCRIPT, www_pool_card_js, &www_pool_card_js_size},
    {"rights.js", SCRIPT, www_rights_js, &www_rights_js_size},
    {"sessions.js", SCRIPT, www_sessions_js, &www_sessions_js_size},
    {"settings.js", SCRIPT, www_settings_js, &www_settings_js_size},
    {"style.css", STYLE, www_style_css, &www_style_css_size},
    {"tenants.js", SCRIPT, www_tenants_js, &www_tenants_js_size},
    {"trim_preview.js", SCRIPT, www_trim_preview_js, &www_trim_preview_js_size},
    {"view.js", SCRIPT, www_view_js, &www_view_js_size},
};

/* If-None-Match is a list, "*", or tags that a proxy made weak; comparing weakly is what RFC
 * 9110, 13.1.2 wants. */
static bool has_tag(const char *given, const char *tag)
{
    return given && (strcmp(given, "*") == 0 || strstr(given, tag) != NULL);
}

static int set_headers(struct exchange *x, const char *tag)
{
    static const char *const headers[][2] = {
        {"Content-Security-Policy", PAGE_POLICY},
        {"X-Content-Type-Options", "nosniff"},
        {"Referrer-Policy", "no-referrer"},
        {"Cross-Origin-Opener-Policy", "same-origin"},
        {"Cross-Origin-Resource-Policy", "same-origin"},
        {"Cache-Control", "no-cache"},
    };
    int rc = exchange_set_header(x, "ETag", tag);
    for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]) && rc == 0; i++)
        rc = exchange_set_header(x, headers[i][0], headers[i][1]);
    return rc;
}

static void answer_file(struct exchange *x, const struct www_file *f)
{
    char digest[DIGEST_HEX_BYTES], tag[ETAG_DIGITS + 3];
    digest_hex(f->bytes, *f->size, digest, ETAG_DIGITS);
    (void)snprintf(tag, sizeof(tag), "\"%.*s\"", ETAG_DIGITS, digest);
    if (set_headers(x, tag) < 0)
        answer_error(x, WIRE_OPENAI, 503, "out_of_memory", "Sluice is out of memory.");
    else if (has_tag(exchange_header(x, "if-none-match"), tag))
        exchange_reply(x, 304, NULL, NULL, 0);
    else
        exchange_reply(x, 200, f->type, f->bytes, *f->size);
}

void route_dashboard(const struct route_request *r)
{
    answer_file(r->exchange, &page);
}

void route_www(const struct route_request *r)
{
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        if (strcmp(files[i].name, r->id) == 0) {
            answer_file(r->exchange, &files[i]);
            return;
        }
    }
    answer_error(r->exchange, WIRE_OPENAI, 404, "not_found",
                 "The dashboard has no file of this name.");
}
