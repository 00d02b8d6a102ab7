/* Writes what a customer applies in his AWS account: FOLDER/cloudformation.json or FOLDER/terraform/main.tf.json, and
 * for the buckets of an infrastructure FOLDER/buckets.json or FOLDER/terraform-buckets/main.tf.json. */
#pragma once

#include "base/err.h"
#include "base/js.h"

struct artefact {
    const json_t *cloudformation, *terraform, *buckets_cloudformation, *buckets_terraform;
};
OH_MUST_CHECK int artefact_write(const char *folder, const struct artefact *a, struct err *err);
