// Roles: those built in and the organization's own.
import { Link, useNavigate } from '@tanstack/react-router';
import { useMemo } from 'react';
import { useApi } from '../api/hooks';
import type { Schemas } from '../api/client';
import { useSession } from '../app/session';
import { useWords } from '../i18n';
import { Button, Empty } from '../ui/basics';
import { Loaded } from '../ui/errors';
import { Page } from '../ui/page';
import { List, type Column } from '../ui/table';

type Role = Schemas['RBACRole'];

export function Roles() {
  const { t, word, named } = useWords();
  const { can } = useSession();
  const navigate = useNavigate();
  const query = useApi('organizationRolesGetList');
  const columns = useMemo<Column<Role>[]>(
    () => [
      {
        key: 'name',
        title: t('role.name'),
        width: 'minmax(10rem, 2fr)',
        value: (r) => named('role.named', r.name),
        render: (r) => (
          <Link to="/roles/$roleId" params={{ roleId: r.id! } as never} className="oh-strong">
            {named('role.named', r.name)}
          </Link>
        ),
      },
      { key: 'type', title: t('role.type'), width: '9rem', value: (r) => word('role.type', r.type), render: (r) => word('role.type', r.type) },
      { key: 'what', title: t('role.what'), width: 'minmax(12rem, 3fr)', value: (r) => word('role.hint', r.id?.slice(-2)), render: (r) => (r.type === 'system' ? word('role.hint', r.id?.slice(-2)) : t('role.policies', { n: r.policies?.length ?? 0 })), minor: true },
      { key: 'actors', title: t('role.actors'), width: '8rem', value: (r) => r.actors?.length ?? 0, render: (r) => t('role.actors.count', { n: r.actors?.length ?? 0 }), end: true },
    ],
    [t, word, named],
  );
  return (
    <Page
      title={t('nav.roles')}
      lead={t('roles.lead')}
      actions={
        can('organizationRolePost') && (
          <Button kind="primary" icon="plus" onClick={() => void navigate({ to: '/roles/$roleId', params: { roleId: 'new' } } as never)}>
            {t('roles.create')}
          </Button>
        )
      }
    >
      <Loaded query={query}>{(list) => <List label={t('nav.roles')} rows={list as Role[]} columns={columns} rowKey={(r) => r.id!} empty={<Empty title={t('roles.none')}>{can('organizationRolePost') && t('roles.none.do')}</Empty>} />}</Loaded>
    </Page>
  );
}
