/* What an organization may have at most. Every quota that is told here is also enforced. */
#pragma once

#define QUOTA_SERVICES 2000             /* per organization; service_create() refuses more */
#define QUOTA_REPLICAS_PER_WAREHOUSE 20 /* per warehouse; api/openapi.json refuses more (numReplicas, maxReplicas) */
