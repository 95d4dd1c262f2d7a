/* The report: what is in it, what is left out, and what a failure leaves behind. */
#include <check.h>
#include <dirent.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "report/report.h"
#include "report/html.h"
#include "suite.h"

static char folder[64], path[96];

static void setup(void)
{
    strcpy(folder, "/tmp/dfq_report_XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/r.html", folder);
}

static void teardown(void)
{
    unlink(path);
    rmdir(folder);
}

static char *slurp(FILE *f)
{
    long size;
    ck_assert_int_eq(fseek(f, 0, SEEK_END), 0);
    size = ftell(f);
    char *text = calloc(1, (size_t)size + 1);
    ck_assert_ptr_nonnull(text);
    rewind(f);
    ck_assert_uint_eq(fread(text, 1, (size_t)size, f), (size_t)size);
    fclose(f);
    return text;
}

static char *write_and_read(const struct report *r)
{
    char err[200] = "";
    ck_assert_msg(report_write(path, r, err, sizeof err) == 0, "%s", err);
    FILE *f = fopen(path, "rb");
    ck_assert_ptr_nonnull(f);
    return slurp(f);
}

static int entries(void)
{
    int n = 0;
    DIR *d = opendir(folder);
    ck_assert_ptr_nonnull(d);
    for (struct dirent *e = readdir(d); e; e = readdir(d)) n += e->d_name[0] != '.';
    closedir(d);
    return n;
}

static void expect(const char *page, const char *part)
{
    ck_assert_msg(strstr(page, part) != NULL, "the page lacks: %s", part);
}

static void refuse(const char *page, const char *part)
{
    ck_assert_msg(strstr(page, part) == NULL, "the page has: %s", part);
}

START_TEST(text_is_escaped_everywhere)
{
    static const char evil[] = "<script>&\"'";
    static const double x[2] = {0, 1}, y[2] = {1, 2};
    static const struct report_series series = {evil, x, y, 2};
    static const struct report_chart chart = {evil, evil, &series, 1, 0};
    static const struct report_layer layer = {evil, 20};
    static const struct report_quantizer quantizer = {evil, evil, 4, 0.1, 0.1, NAN, NAN};
    static const struct report_row row = {evil, evil};
    static const struct report_file input = {evil, 12};
    static const unsigned char png[24] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n', 0, 0, 0, 13,
                                          'I',  'H', 'D', 'R', 0,    0,    0,    8,    0, 0, 0, 8};
    static const struct report_image image = {evil, evil, png, sizeof png};
    struct report r;
    report_init(&r);
    r.title = r.model = r.mode = r.command = evil;
    r.charts = &chart, r.n_charts = 1;
    r.layers = &layer, r.n_layers = 1;
    r.quantizers = &quantizer, r.n_quantizers = 1;
    r.provenance = &row, r.n_provenance = 1;
    r.inputs = &input, r.n_inputs = 1;
    r.synthetic = r.attention = &image, r.n_synthetic = r.n_attention = 1;
    char *page = write_and_read(&r);
    refuse(page, "<script");
    int seen = 0;
    for (const char *s = page; (s = strstr(s, "&lt;script&gt;&amp;&quot;&#39;")) != NULL; s++)
        seen++;
    /* title twice, model twice, mode, command, chart: title, label, axis, legend, line; layer;
     * quantizer: 2; row: 2; input; two images of three places each */
    ck_assert_int_eq(seen, 2 + 2 + 1 + 1 + 5 + 1 + 2 + 2 + 1 + 6);
    free(page);
}
END_TEST

START_TEST(broken_utf8_and_controls_are_replaced)
{
    static const struct {
        const char *in, *out;
    } rows[] = {
        {"Stra\xc3\x9f"
         "e \xe2\x9c\x93 \xf0\x9f\x98\x80",
         "Stra\xc3\x9f"
         "e \xe2\x9c\x93 \xf0\x9f\x98\x80"},
        {"a\xff"
         "b",
         "a\xef\xbf\xbd"
         "b"},
        {"\xc3", "\xef\xbf\xbd"},
        {"\xe2\x9c", "\xef\xbf\xbd\xef\xbf\xbd"},
        {"\xc0\xbc", "\xef\xbf\xbd\xef\xbf\xbd"}, /* an overlong '<' */
        {"\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
        {"a\x01\x1b"
         "b\tc\n",
         "a\xef\xbf\xbd\xef\xbf\xbd"
         "b\tc\n"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        FILE *f = tmpfile();
        ck_assert_ptr_nonnull(f);
        html_text(f, rows[i].in);
        char *text = slurp(f);
        ck_assert_str_eq(text, rows[i].out);
        free(text);
    }
}
END_TEST

START_TEST(empty_sections_are_left_out)
{
    static const struct report_series nothing = {"none", NULL, NULL, 0};
    static const struct report_chart chart = {"no points", NULL, &nothing, 1, 1};
    static const struct report_image not_png = {"x", "y", "GIF89a..................", 24};
    struct report r;
    report_init(&r);
    r.charts = &chart, r.n_charts = 1;
    r.synthetic = &not_png, r.n_synthetic = 1;
    char *page = write_and_read(&r);
    refuse(page, "<h2>");
    refuse(page, "class=\"card\"");
    refuse(page, "class=\"chips\"");
    expect(page, "<h1>Quantization report</h1>");
    expect(page, "</html>");
    free(page);
    r.seconds = 3725;
    r.weight_bits = 4;
    page = write_and_read(&r);
    expect(page, "1 h 2 min");
    expect(page, "weights 4 bit");
    refuse(page, "Accuracy");
    refuse(page, "Memory");
    free(page);
}
END_TEST

START_TEST(cards_show_both_accuracies_and_sizes)
{
    struct report r;
    report_init(&r);
    r.float_accuracy = 0.9412, r.quantized_accuracy = 0.9337, r.accuracy_images = 500;
    r.float_bytes = 4000000, r.quantized_bytes = 500000;
    char *page = write_and_read(&r);
    expect(page, "93.37\xe2\x80\x89%");
    expect(page, "float 94.12\xe2\x80\x89%, change \xe2\x88\x92"
                 "0.75 points; 500 images");
    expect(page, "500 kB");
    expect(page, "float 4.00 MB, 8.0\xc3\x97 smaller");
    free(page);
}
END_TEST

START_TEST(values_that_are_no_numbers_do_no_harm)
{
    const double x[6] = {0, 1, 2, 3, 4, 5};
    const double gap[6] = {1, 2, NAN, 3, INFINITY, 5}, none[6] = {NAN, NAN, NAN, NAN, NAN, NAN};
    const double signs[6] = {10, -1, 0, 100, 50, -INFINITY}, flat[6] = {7, 7, 7, 7, 7, 7};
    const double wide[6] = {-1.7e308, 9e299, -9e299, 1, 5e-324, NAN}, bad[6] = {NAN, 0, 0, 0, 0, 0};
    const struct report_series series[] = {{"gap", x, gap, 6},     {"none", x, none, 6},
                                           {"signs", x, signs, 6}, {"flat", x, flat, 6},
                                           {"wide", x, wide, 6},   {"steps", bad, flat, 6}};
    struct report_chart charts[12];
    for (size_t i = 0; i < 6; i++) {
        const struct report_chart line = {"line", "step", &series[i], 1, 0};
        const struct report_chart log = {"log", "step", &series[i], 1, 1};
        charts[i] = line, charts[6 + i] = log;
    }
    const struct report_layer layers[] = {
        {"a", NAN}, {"b", -3}, {"c", INFINITY}, {"d", 12}, {"e", -INFINITY}};
    const struct report_quantizer q[] = {{"s", "k", 8, NAN, NAN, NAN, NAN},
                                         {"s", "k", 8, 0.25, NAN, 3, 3},
                                         {"s", "k", 8, -INFINITY, 0.5, 0, INFINITY}};
    struct report r;
    report_init(&r);
    r.charts = charts, r.n_charts = 12;
    r.layers = layers, r.n_layers = 5;
    r.quantizers = q, r.n_quantizers = 3;
    r.similarity_before = gap, r.similarity_after = none, r.n_similarity = 6;
    char *page = write_and_read(&r);
    refuse(page, "nan");
    refuse(page, "NaN");
    refuse(page, ">inf");
    refuse(page, "inf\"");
    refuse(page, " inf");
    refuse(page, "-inf");
    /* 0 1 | 3 | 5: a line and two dots */
    const char *d = strstr(page, "class=\"line s0\" d=\"");
    ck_assert_ptr_nonnull(d);
    int moves = 0, dots = 0;
    for (d = strstr(d, "d=\"") + 3; *d != '"'; d++) moves += *d == 'M', dots += *d == 'h';
    ck_assert_int_eq(moves, 3);
    ck_assert_int_eq(dots, 2);
    /* the series without a point is in no legend */
    refuse(page, "</i>none");
    expect(page, "\xe2\x88\x92"
                 "3.0</b>");
    free(page);
}
END_TEST

START_TEST(the_stream_of_a_rotated_network)
{
    const double before[3] = {47.25, 1, 0.2}, after[3] = {3.25, 1, 0.5}, nan[3] = {NAN, NAN, NAN};
    struct report r;
    report_init(&r);
    r.stream_before = before, r.stream_after = after, r.n_stream = 3;
    r.stream_block = "blocks.7";
    char *page = write_and_read(&r);
    expect(page, "<h2>Residual stream</h2>");
    expect(page, "Channels after blocks.7, relative to their mean");
    expect(page, "47.2 \xe2\x86\x92 3.2");
    free(page);
    r.stream_after = nan;
    page = write_and_read(&r);
    refuse(page, "Residual stream");
    free(page);
    r.stream_after = NULL;
    page = write_and_read(&r);
    refuse(page, "Residual stream");
    free(page);
}
END_TEST

START_TEST(the_gain_of_each_part)
{
    const struct report_part parts[2] = {{"rotation", 12.25, 8.5}, {"GPTQ", 12.25, 13}};
    struct report r;
    report_init(&r);
    char *page = write_and_read(&r);
    refuse(page, "What each part gains");
    free(page);
    r.parts = parts, r.n_parts = 2;
    page = write_and_read(&r);
    expect(page, "<h2>What each part gains</h2>");
    expect(page, ">rotation<");
    expect(page, ">8.5<");
    expect(page, ">12.2<");
    expect(page, "+3.8<");
    expect(page, "\xe2\x88\x92"
                 "0.8<");
    free(page);
}
END_TEST

/* Bits of layers: their means in the head, and a pair of bars for each, but for what is float. */
START_TEST(the_bits_of_each_layer)
{
    static const struct report_width widths[] = {
        {"conv<1>", 3, 0}, {"attn.qk", 0, 5}, {"fc", 8, 2}, {"head", 0, 0}};
    struct report r;
    report_init(&r);
    r.weight_bits = 3, r.activation_bits = 3;
    char *page = write_and_read(&r);
    expect(page, "<span>weights 3 bit</span><span>activations 3 bit</span>");
    refuse(page, "Bits of layers");
    free(page);
    r.mean_weight_bits = 4.236, r.mean_activation_bits = 3.998;
    r.widths = widths, r.n_widths = 4;
    page = write_and_read(&r);
    expect(page, "<span>weights 4.24 bits in the mean</span>"
                 "<span>activations 4.00 bits in the mean</span>");
    expect(page, "Bits of layers</h2>");
    expect(page, "<span>conv&lt;1&gt;</span>");
    expect(page, "<rect class=\"w\" y=\"0\" width=\"3\" height=\"4\"/></svg><b>w3</b>");
    expect(page, "<rect class=\"a\" y=\"5\" width=\"5\" height=\"4\"/></svg><b>a5</b>");
    expect(page, "<b>w8 a2</b>");
    expect(page, "<rect class=\"rest\" width=\"8\" height=\"9\"/></svg><b>float</b>");
    free(page);
}
END_TEST

START_TEST(unnamed_series_are_faint_and_in_no_legend)
{
    const double x[2] = {0, 1}, a[2] = {1, 2}, b[2] = {3, 4}, c[2] = {5, 6};
    const struct report_series series[] = {
        {NULL, x, a, 2}, {NULL, x, b, 2}, {"median", x, c, 2}, {"target", x, a, 2}};
    const struct report_chart chart = {"many", "step", series, 4, 0};
    struct report r;
    report_init(&r);
    r.charts = &chart, r.n_charts = 1;
    char *page = write_and_read(&r);
    const char *first = strstr(page, "class=\"line faint\"");
    ck_assert_ptr_nonnull(first);
    const char *second = strstr(first + 1, "class=\"line faint\"");
    ck_assert_ptr_nonnull(second);
    ck_assert_ptr_null(strstr(second + 1, "class=\"line faint\""));
    /* the first with a name has the first colour, in legend and drawing */
    expect(page, "<span><i class=\"b0\"></i>median <b>6</b></span>"
                 "<span><i class=\"b1\"></i>target <b>2</b></span></p>");
    const char *named = strstr(page, "class=\"line s0\"");
    ck_assert_ptr_nonnull(named);
    ck_assert(named > second);
    expect(named, "<title>median</title>");
    expect(page, "class=\"line s1\"");
    refuse(page, "class=\"line s2\"");
    free(page);
}
END_TEST

START_TEST(long_curves_stay_small_and_keep_their_peaks)
{
    enum { N = 100000 };
    double *x = malloc(N * sizeof *x), *y = malloc(N * sizeof *y);
    ck_assert(x && y);
    for (int i = 0; i < N; i++) x[i] = i, y[i] = i == 77777 ? 100 : i % 2;
    const struct report_series s = {"s", x, y, N};
    const struct report_chart c = {"c", NULL, &s, 1, 0};
    struct report r;
    report_init(&r);
    r.charts = &c, r.n_charts = 1;
    char *page = write_and_read(&r);
    ck_assert_uint_lt(strlen(page), 24000);
    expect(page, " 12.0L"); /* the peak touches the top of the plot */
    free(page);
    free(x);
    free(y);
}
END_TEST

START_TEST(ticks_tell_neighbours_apart)
{
    const double x[2] = {0, 1}, near[2] = {93.412, 93.438}, flat[2] = {3.3, 3.3};
    const struct report_series close = {"s", x, near, 2}, level = {"s", x, flat, 2};
    const struct report_chart charts[2] = {{"c", NULL, &close, 1, 0}, {"c", NULL, &level, 1, 1}};
    struct report r;
    report_init(&r);
    r.charts = charts, r.n_charts = 2;
    char *page = write_and_read(&r);
    expect(page, ">93.42</text>");
    expect(page, ">93.43</text>");
    expect(page, ">3.2</text>");
    free(page);
}
END_TEST

/* Narrow screens hide the heads of tables: cells say what they hold, and each one is closed. */
START_TEST(cells_name_their_columns)
{
    const struct report_quantizer q[] = {{"a", "k", 8, 0.25, 0.25, NAN, NAN},
                                         {"b", "k", 4, 0.5, 0.5, 3, 3}};
    static const char *const parts[] = {"tr", "td", "th", "table", "thead", "tbody"};
    struct report r;
    report_init(&r);
    r.quantizers = q, r.n_quantizers = 2;
    char *page = write_and_read(&r), *table = strstr(page, "<table class=\"rows\"");
    ck_assert_ptr_nonnull(table);
    expect(table, "<td>b</td><td data-column=\"Kind\">k</td>"
                  "<td class=\"num\" data-column=\"Bits\">4</td>");
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        char open[16], end[16];
        int n = 0;
        snprintf(open, sizeof open, "<%s", parts[i]);
        snprintf(end, sizeof end, "</%s>", parts[i]);
        for (const char *s = table; (s = strstr(s, open)) != NULL; s++)
            n += s[strlen(open)] == '>' || s[strlen(open)] == ' ';
        for (const char *s = table; (s = strstr(s, end)) != NULL; s++) n--;
        ck_assert_msg(n == 0, "%s: %d are open", parts[i], n);
    }
    free(page);
}
END_TEST

START_TEST(numbers_read_well)
{
    static const struct {
        uint64_t bytes;
        const char *text;
    } rows[] = {{0, "0 bytes"},         {999, "999 bytes"},  {1000, "1.00 kB"},
                {999499, "999 kB"},     {999500, "1.00 MB"}, {12345678, "12.3 MB"},
                {UINT64_MAX, "18.4 EB"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        FILE *f = tmpfile();
        ck_assert_ptr_nonnull(f);
        html_bytes(f, rows[i].bytes);
        char *text = slurp(f);
        ck_assert_str_eq(text, rows[i].text);
        free(text);
    }
    static const struct {
        double seconds;
        const char *text;
    } times[] = {{0.123, "0.12 s"}, {59.94, "59.9 s"}, {59.96, "1 min 0 s"}, {3599.7, "1 h 0 min"}};
    for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
        FILE *f = tmpfile();
        ck_assert_ptr_nonnull(f);
        html_duration(f, times[i].seconds);
        char *text = slurp(f);
        ck_assert_str_eq(text, times[i].text);
        free(text);
    }
}
END_TEST

START_TEST(pictures_are_embedded_whole)
{
    /* The smallest head of a PNG file, 600 by 8; base64 of 25 bytes ends in two '='. */
    static const unsigned char png[25] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n', 0,
                                          0,    0,   13,  'I', 'H',  'D',  'R',  0,    0,
                                          2,    88,  0,   0,   0,    8,    255};
    const struct report_image im = {NULL, "six heads", png, sizeof png};
    struct report r;
    report_init(&r);
    r.attention = &im, r.n_attention = 1;
    char *page = write_and_read(&r);
    expect(page, "width=\"600\" height=\"8\" alt=\"six heads\"");
    expect(page, "src=\"data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAlgAAAAI/w==\"");
    refuse(page, "Synthetic");
    free(page);
}
END_TEST

START_TEST(nothing_is_fetched_and_bytes_repeat)
{
    struct report r;
    report_init(&r);
    r.model = "m";
    char *first = write_and_read(&r), *second = write_and_read(&r);
    ck_assert_str_eq(first, second);
    refuse(first, "http");
    refuse(first, "@import");
    refuse(first, "url(");
    ck_assert_int_eq(entries(), 1);
    free(first);
    free(second);
}
END_TEST

/* The verdict stands above the numbers, the contents before the first heading, and each of them
 * leads somewhere. */
START_TEST(verdict_and_contents_come_first)
{
    static const char *const said[] = {"Keeps <most> of it.", "To try: more."};
    static const struct report_layer layer = {"a", 20};
    static const struct report_quantizer q = {"a", "weight", 4, 1, 1, (double)NAN, (double)NAN};
    struct report r;
    report_init(&r);
    r.verdict = said, r.n_verdict = 2;
    r.seconds = 3;
    r.layers = &layer, r.n_layers = 1;
    r.quantizers = &q, r.n_quantizers = 1;
    r.command = "dfq";
    char *page = write_and_read(&r);
    const char *at[] = {strstr(page, "<h1>"),
                        strstr(page, "<p>Keeps &lt;most&gt; of it.</p><p>To try: more.</p>"),
                        strstr(page, "class=\"big\""),
                        strstr(page, "<li><a href=\"#s0\">Error of each layer</a></li>"
                                     "<li><a href=\"#s1\">Quantizers</a></li>"
                                     "<li><a href=\"#s2\">Provenance</a></li></ul></nav>"),
                        strstr(page, "<a id=\"s0\"></a><h2>Error of each layer</h2>"),
                        strstr(page, "<a id=\"s1\"></a><h2>Quantizers</h2>"),
                        strstr(page, "<a id=\"s2\"></a><h2>Provenance</h2>"),
                        strstr(page, "</html>")};
    for (size_t i = 0; i < sizeof at / sizeof *at; i++) {
        ck_assert_msg(at[i] != NULL, "%zu", i);
        ck_assert(i == 0 || at[i - 1] < at[i]);
    }
    free(page);
    r.verdict = NULL, r.n_verdict = 0;
    page = write_and_read(&r);
    refuse(page, "class=\"verdict\"");
    free(page);
}
END_TEST

START_TEST(failure_leaves_nothing)
{
    struct report r;
    char err[200] = "", missing[128], tiny[8];
    report_init(&r);
    snprintf(missing, sizeof missing, "%s/no/such/r.html", folder);
    ck_assert_int_eq(report_write(missing, &r, err, sizeof err), -1);
    ck_assert_ptr_nonnull(strstr(err, missing));
    ck_assert_int_eq(entries(), 0);
    ck_assert_int_eq(report_write(missing, &r, tiny, sizeof tiny), -1);
    ck_assert_uint_lt(strlen(tiny), sizeof tiny);
    ck_assert_int_eq(report_write(missing, &r, NULL, 0), -1);
    /* A folder in the way: the page is written beside it, cannot take its place and goes away. */
    ck_assert_int_eq(mkdir(path, 0700), 0);
    ck_assert_int_eq(report_write(path, &r, err, sizeof err), -1);
    ck_assert_int_eq(entries(), 1);
    ck_assert_int_eq(rmdir(path), 0);
}
END_TEST

Suite *report_suite(void)
{
    Suite *s = suite_create("report");
    TCase *c = tcase_create("page");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, text_is_escaped_everywhere);
    tcase_add_test(c, broken_utf8_and_controls_are_replaced);
    tcase_add_test(c, empty_sections_are_left_out);
    tcase_add_test(c, cards_show_both_accuracies_and_sizes);
    tcase_add_test(c, values_that_are_no_numbers_do_no_harm);
    tcase_add_test(c, unnamed_series_are_faint_and_in_no_legend);
    tcase_add_test(c, the_stream_of_a_rotated_network);
    tcase_add_test(c, the_gain_of_each_part);
    tcase_add_test(c, the_bits_of_each_layer);
    tcase_add_test(c, long_curves_stay_small_and_keep_their_peaks);
    tcase_add_test(c, ticks_tell_neighbours_apart);
    tcase_add_test(c, cells_name_their_columns);
    tcase_add_test(c, numbers_read_well);
    tcase_add_test(c, pictures_are_embedded_whole);
    tcase_add_test(c, nothing_is_fetched_and_bytes_repeat);
    tcase_add_test(c, verdict_and_contents_come_first);
    tcase_add_test(c, failure_leaves_nothing);
    suite_add_tcase(s, c);
    return s;
}
