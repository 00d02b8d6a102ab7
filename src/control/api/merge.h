/* Patches of the form {"add": [...], "remove": [...]} on a list kept in a JSON object. */
#pragma once

#include "base/js.h"

/* Removes from object.field what patch.remove names, then adds patch.add; entries are the same when their `key` fields
 * are equal, or, with key NULL, when they are equal texts. An added entry replaces one that is the same. Returns true
 * if the list changed. */
bool merge_list(json_t *object, const char *field, const char *key, const json_t *patch);
