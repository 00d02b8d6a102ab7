/* XML answers of AWS as JSON trees.
 *
 * An element with text only is a string, one with children an object; children of one name that repeat are an array,
 * and an element whose children are all "item" or "member" (the query protocols' lists) is itself that array.
 * Attributes are dropped. A document type declaration is refused, so entities cannot grow. At most XML_DEPTH_MAX
 * levels. */
#pragma once

#include "base/js.h"

#define XML_DEPTH_MAX 48

/* Parses len bytes (at most `max`, else -EMSGSIZE). *ret is the root element's value, a new reference; *ret_root (may
 * be NULL) its name, heap. -EINVAL: not well-formed, with line; -EPROTO: declaration or depth. */
OH_MUST_CHECK int aws_xml_parse(const char *text, size_t len, size_t max, json_t **ret, char **ret_root,
                                struct err *err);

/* obj[key] as an array, whatever the number of its elements made of it: absent and "" are empty, a single object is one
 * element. `inner` (may be NULL) is the name of the elements below (Route 53, S3). New reference. */
json_t *aws_xml_list(const json_t *obj, const char *key, const char *inner);
/* Appends text with XML's special characters escaped. */
void aws_xml_escape(struct buf *out, const char *text);
