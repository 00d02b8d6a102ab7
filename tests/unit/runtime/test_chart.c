/* The chart's templates: what is understood, what is refused, which values pass. */
#include "../test.h"
#include "runtime/kubernetes/access.h"
#include "runtime/kubernetes/chart.h"

static const struct expect {
    const char *template, *result; /* NULL: refused */
} cases[] = {
    {"plain {{ .Values.a }}!", "plain one!"},
    {"{{ .Release.Namespace }}/{{ $.Release.Namespace }}", "ns/ns"},
    {"a {{- .Values.a -}} \n b", "aoneb"},
    {"{{ with .Values.a }}<{{ . }}>{{ end }}{{ with .Values.empty }}<{{ . }}>{{ end }}", "<one>"},
    {"{{ if .Values.yes }}y{{ end }}{{ if .Values.no }}{{ with .Values.a }}n{{ end }}{{ end }}", "y"},
    {"{{ range $k, $v := .Values.map }}[{{ $k }}={{ $v }}]{{ end }}", "[a=2][b=1]"},
    {"{{ range $x := list \"p\" \"q\" }}{{ $x }}{{ $.Release.Namespace }} {{ end }}", "pns qns "},
    {"{{ range .Values.map }}{{ . }}{{ end }}", "21"},
    {"{{ if .Values.no }}{{ range $k, $v := .Values.map }}{{ $k }}{{ end }}x{{ end }}z", "z"},
    {"{{ ternary \"on\" \"off\" .Values.yes }} {{ ternary \"on\" \"off\" .Values.no }}", "on off"},
    {"{{ .Values.map | toJson }}", "{\"a\":\"2\",\"b\":\"1\"}"},
    {"{{ .Values.a | sha256sum }}", "7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed"},
    {"{{ .Values.number }}", "7"},
    {"{{ .Values.none }}", NULL},
    {"{{ .Values.map }}", NULL},
    {"{{ .Values.a | upper }}", NULL},
    {"{{ include \"x\" . }}", NULL},
    {"{{ .Values.a", NULL},
    {"{{ if .Values.yes }}", NULL},
    {"{{ end }}", NULL},
    {"{{ }}", NULL},
    {"{{ $x }}", NULL},
    {"{{ range $a, $b = .Values.map }}{{ end }}", NULL},
    {"{{ if .Values.yes }}{{ if .Values.yes }}{{ if .Values.yes }}{{ if .Values.yes }}{{ if .Values.yes }}"
     "{{ if .Values.yes }}{{ if .Values.yes }}{{ if .Values.yes }}{{ if .Values.yes }}{{ if .Values.yes }}",
     NULL},
};

static void test_expand(void **state OH_UNUSED)
{
    autojson json_t *values = json_pack("{ss ss sb sb s{ss ss} si}", "a", "one", "empty", "", "yes", 1, "no", 0, "map",
                                        "b", "1", "a", "2", "number", 7);
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        autobuf struct buf out = BUF_INIT;
        struct err err = ERR_INIT;
        int r = kube_chart_expand(cases[i].template, values, "ns", &out, &err);
        if (cases[i].result) {
            assert_int_equal(r, 0);
            assert_string_equal(out.data, cases[i].result);
        } else {
            if (r != -EINVAL || !*err.message)
                fail_msg("case %zu was taken: %s", i, cases[i].template);
        }
    }
}

static void test_values(void **state OH_UNUSED)
{
    static const struct {
        const char *own, *said; /* said NULL: taken */
    } values[] = {
        {"{}", NULL},
        {"{\"volumeGib\": 5, \"loadBalancer\": false}", NULL},
        {"{\"resources\": {\"limits\": {\"cpu\": \"2\"}}}", NULL},
        {"{\"volumeGib\": \"5\"}", "volumeGib"},
        {"{\"other\": 1}", "no such value"},
        {"{\"image\": \"agent:1\"}", "by digest"},
        {"{\"name\": \"a\\nb\"}", "one line"},
        {"{\"stateSize\": \"1Gi, x: y\"}", "letters, digits"},
        {"{\"accountAnnotations\": {\"a\": \"b c\"}}", "without blanks"},
        {"{\"accountAnnotations\": {\"a\": 1}}", "without blanks"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
        autojson json_t *own = NULL, *got = NULL, *objects = NULL;
        struct err err = ERR_INIT;
        assert_int_equal(kube_yaml(values[i].own, strlen(values[i].own), &own, &err), 0);
        int r = kube_chart_values(own, &got, &err);
        if (values[i].said) {
            assert_int_equal(r, -EINVAL);
            assert_non_null(strstr(err.message, values[i].said));
            continue;
        }
        assert_int_equal(r, 0);
        assert_int_equal(kube_chart_objects(got, "ns", &objects, &err), 0);
        assert_true(json_array_size(objects) > 12);
    }
}

/* Maps are joined, as Helm joins them. */
static void test_join(void **state OH_UNUSED)
{
    autojson json_t *own = json_pack("{s{s{ss}}}", "resources", "limits", "cpu", "2"), *got = NULL;
    assert_int_equal(kube_chart_values(own, &got, NULL), 0);
    const json_t *limits = json_object_get(json_object_get(got, "resources"), "limits");
    assert_string_equal(json_string_value(json_object_get(limits, "cpu")), "2");
    assert_non_null(json_object_get(limits, "memory"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_expand),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_join),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
