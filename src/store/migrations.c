/* The table of migrations; a new file gets its line here and in meson.build. */
#include "store/migrations.h"

extern const char migration_0001_foundation[], migration_0002_access[], migration_0003_invitation[],
    migration_0004_access_grant[], migration_0005_session[], migration_0006_access_request[], migration_0007_consent[],
    migration_0008_account_check[], migration_0009_drift[], migration_0010_unknown_sign_in[],
    migration_0011_removal_report[], migration_0012_backup[], migration_0013_plan_approval[],
    migration_0014_agent_release[];

const struct migration migrations[] = {
    {1, "0001_foundation", migration_0001_foundation},
    {2, "0002_access", migration_0002_access},
    {3, "0003_invitation", migration_0003_invitation},
    {4, "0004_access_grant", migration_0004_access_grant},
    {5, "0005_session", migration_0005_session},
    {6, "0006_access_request", migration_0006_access_request},
    {7, "0007_consent", migration_0007_consent},
    {8, "0008_account_check", migration_0008_account_check},
    {9, "0009_drift", migration_0009_drift},
    {10, "0010_unknown_sign_in", migration_0010_unknown_sign_in},
    {11, "0011_removal_report", migration_0011_removal_report},
    {12, "0012_backup", migration_0012_backup},
    {13, "0013_plan_approval", migration_0013_plan_approval},
    {14, "0014_agent_release", migration_0014_agent_release},
};
const size_t migrations_count = sizeof(migrations) / sizeof(migrations[0]);
