/* blueprint/xml: nesting, escaping. */
#include "../test.h"

#include "base/mem.h"
#include "blueprint/xml.h"

static void writes_escaped_and_nested(void **state OH_UNUSED)
{
    autobuf struct buf out = BUF_INIT;
    struct xml x;
    xml_init(&x, &out);
    xml_open(&x, "a");
    xml_text(&x, "b", "1 < 2 & \"3\" > 2 ]]>");
    xml_open(&x, "c");
    xml_int(&x, "d", -5);
    xml_true(&x, "e");
    xml_empty(&x, "f");
    xml_close(&x);
    xml_comment(&x, "why");
    xml_close(&x);
    assert_string_equal(out.data, "<a>\n    <b>1 &lt; 2 &amp; \"3\" &gt; 2 ]]&gt;</b>\n    <c>\n        <d>-5</d>\n"
                                  "        <e>1</e>\n        <f/>\n    </c>\n    <!-- why -->\n</a>\n");
    assert_int_equal(x.depth, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(writes_escaped_and_nested)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
