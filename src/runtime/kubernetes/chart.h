/* The agent's own objects in a cluster, from the very templates and values of the Helm chart (deploy/chart), which are
 * built into the program: what `helm install` makes and what `ownhouse agent install` makes is the same.
 *
 * Of Helm's template language just the part that the chart uses is understood: .Values.X, .Release.Namespace, $name,
 * with, if, range over a map or a list of texts, end, ternary, toJson, sha256sum, and the trimming of white space.
 * Anything else in a template is an error, not text. */
#pragma once

#include "base/js.h"
#include "base/mem.h"

#define KUBE_CHART_VALUES_MAX KIB(64)

/* The chart's default values with `own` (may be NULL) laid over them as Helm does, checked: an unknown name, a wrong
 * type, an image that is not named by digest or a text that could end the line it stands in is -EINVAL and named. New
 * reference.
 */
OH_MUST_CHECK int kube_chart_values(const json_t *own, json_t **ret, struct err *err);

/* The chart's objects in the order of applying, as a new array. `values` are as kube_chart_values() gives them. */
OH_MUST_CHECK int kube_chart_objects(const json_t *values, const char *namespace, json_t **ret, struct err *err);

/* One template with these values. -EINVAL: it says what is not understood. */
OH_MUST_CHECK int kube_chart_expand(const char *text, const json_t *values, const char *namespace, struct buf *out,
                                    struct err *err);
