// One role: its policies, and what they come to.
import { useNavigate, useParams } from '@tanstack/react-router';
import { useMemo, useState, type FormEvent } from 'react';
import { useApi, useChange } from '../api/hooks';
import type { Schemas } from '../api/client';
import { table } from '../api/generated/table';
import { useSession } from '../app/session';
import { useWords } from '../i18n';
import { effective, resourceKind, type Policy } from '../lib/access';
import { Badge, Button, Card, Check, Empty, IconButton, Notice, Select, TextInput } from '../ui/basics';
import { Confirm } from '../ui/dialog';
import { Loaded, Problem } from '../ui/errors';
import { Page } from '../ui/page';
import { Plain } from '../ui/table';
import { announce } from '../ui/toast';

type Role = Schemas['RBACRole'];

/** Every permission that an operation asks for. */
export const permissions: string[] = [...new Set(Object.values(table).map((row) => row[2] as string))].filter((p) => p.startsWith('control-plane:')).sort();

export function Role() {
  const { t } = useWords();
  const { roleId } = useParams({ strict: false }) as { roleId: string };
  const fresh = roleId === 'new';
  const query = useApi('organizationRoleGet', { path: { roleId } }, { enabled: !fresh });
  const up = { to: '/roles', label: t('nav.roles') };
  if (fresh) return <Editor role={null} up={up} />;
  if (query.data) return <Editor key={roleId} role={query.data as Role} up={up} />;
  return (
    <Page title={t('role.title')} up={up}>
      <Loaded query={query}>{() => null}</Loaded>
    </Page>
  );
}

function toPolicies(role: Role | null): Policy[] {
  return (role?.policies ?? []).map(({ allowDeny = 'ALLOW', permissions: p, resources }) => ({ allowDeny, permissions: p ?? [], resources: resources ?? [] }));
}

function Editor({ role, up }: { role: Role | null; up: { to: string; label: string } }) {
  const { t, word, named } = useWords();
  const { can } = useSession();
  const navigate = useNavigate();
  const [name, setName] = useState(role?.name ?? '');
  const [policies, setPolicies] = useState<Policy[]>(() => (role ? toPolicies(role) : [{ allowDeny: 'ALLOW', permissions: [], resources: ['instance/*'] }]));
  const [tried, setTried] = useState(false);
  const [removing, setRemoving] = useState(false);
  const saved = () => {
    announce(t('form.saved'));
    void navigate({ to: '/roles' as never });
  };
  const create = useChange('organizationRolePost', saved);
  const update = useChange('organizationRolePatch', saved);
  const remove = useChange('organizationRoleDelete', () => void navigate({ to: '/roles' as never }));
  const edit = can(role ? 'organizationRolePatch' : 'organizationRolePost') && role?.type !== 'system';
  const services = useApi('instanceGetList', {}, { enabled: can('instanceGetList') });
  /** What a policy is about in words: all services, a service by its name, the organization. */
  const resourceName = (resource: string) => {
    const [kind, id] = resource.split('/');
    if (kind === 'organization') return t('role.kind.organization');
    if (id === '*') return t('role.everyService');
    return (services.data as Schemas['Service'][] | undefined)?.find((s) => s.id === id)?.name ?? resource;
  };
  const sum = useMemo(() => effective(policies, permissions), [policies]);
  const wrong = policies.some((p) => !p.permissions.length || !p.resources.length) || !name.trim();
  const pending = create.isPending || update.isPending;

  function submit(e: FormEvent) {
    e.preventDefault();
    setTried(true);
    if (wrong) return;
    const body = { name: name.trim(), policies };
    if (role) update.mutate({ path: { roleId: role.id! }, body });
    else create.mutate({ body: { ...body, actors: [] } });
  }
  return (
    <Page
      title={role ? named('role.named', role.name) : t('roles.create')}
      up={up}
      badge={role && <Badge text={word('role.type', role.type)} state="neutral" className="oh-badge" />}
      lead={role?.type === 'system' ? word('role.hint', role.id?.slice(-2)) : t('role.lead')}
      actions={
        role?.type === 'custom' &&
        can('organizationRoleDelete') && (
          <Button icon="trash" kind="empty" onClick={() => setRemoving(true)}>
            {t('action.delete')}
          </Button>
        )
      }
    >
      {edit && (
        <form className="oh-form is-page" onSubmit={submit} noValidate>
          <Card>
            <TextInput label={t('role.name')} value={name} onChange={setName} maxLength={100} required error={tried && !name.trim() && t('role.nameNeeded')} autoFocus={!role} />
          </Card>
          {policies.map((p, i) => (
            <PolicyEditor key={i} index={i} policy={p} tried={tried} onChange={(next) => setPolicies(policies.map((x, j) => (j === i ? next : x)))} onRemove={policies.length > 1 ? () => setPolicies(policies.filter((_, j) => j !== i)) : undefined} />
          ))}
          <div>
            <Button icon="plus" onClick={() => setPolicies([...policies, { allowDeny: 'ALLOW', permissions: [], resources: ['instance/*'] }])}>
              {t('role.addPolicy')}
            </Button>
          </div>
          {(create.error || update.error) && <Problem problem={create.error ?? update.error} />}
          <div className="oh-form-actions">
            <Button onClick={() => void navigate({ to: '/roles' as never })}>{t('action.cancel')}</Button>
            <Button submit kind="primary" busy={pending}>
              {t('form.save')}
            </Button>
          </div>
        </form>
      )}
      {role?.type !== 'system' || policies.length > 0 ? (
        <Card title={t('role.effective')}>
          <p className="oh-muted">{t('role.effective.what')}</p>
          {sum.some((e) => e.allowed.length) ? (
            <Plain
              label={t('role.effective')}
              heads={[t('role.permission'), t('role.on')]}
              rows={sum
                .filter((e) => e.allowed.length || e.denied.length)
                .map((e) => ({
                  key: e.permission,
                  cells: [
                    <>
                      {word('permission', e.permission)} <code className="oh-block oh-muted">{e.permission}</code>
                    </>,
                    <span className="oh-tags">
                      {e.allowed.map((r) => (
                        <Badge key={r} text={resourceName(r)} state="success" className="oh-badge" />
                      ))}
                      {e.denied.map((r) => (
                        <Badge key={r} text={t('role.not', { resource: resourceName(r) })} state="danger" className="oh-badge" />
                      ))}
                    </span>,
                  ],
                }))}
            />
          ) : (
            <Empty title={t('role.nothing')}>{t('role.nothing.do')}</Empty>
          )}
        </Card>
      ) : (
        <Notice>{t('role.system')}</Notice>
      )}
      {role && (
        <Card title={t('role.actors')}>
          {role.actors?.length ? (
            <ul className="oh-lines">
              {role.actors.map((a) => (
                <li key={a}>
                  <Actor actor={a} />
                </li>
              ))}
            </ul>
          ) : (
            <p className="oh-muted">{t('role.nobody')}</p>
          )}
        </Card>
      )}
      {removing && role && (
        <Confirm title={t('role.remove', { name: role.name ?? '' })} act={t('action.delete')} typed={role.name} danger busy={remove.isPending} problem={remove.error} onClose={() => setRemoving(false)} onConfirm={() => remove.mutate({ path: { roleId: role.id! } })}>
          <p>{t('role.remove.what')}</p>
        </Confirm>
      )}
    </Page>
  );
}

function Actor({ actor }: { actor: string }) {
  const { t } = useWords();
  const { can } = useSession();
  const members = useApi('memberGetList', {}, { enabled: can('memberGetList') });
  const keys = useApi('openapiKeyGetList', {}, { enabled: can('openapiKeyGetList') });
  const [kind, id] = actor.split('/');
  const member = kind === 'user' ? (members.data as Schemas['Member'][] | undefined)?.find((m) => m.userId === id) : undefined;
  const key = kind === 'apiKey' ? (keys.data as Schemas['ApiKey'][] | undefined)?.find((k) => k.id === id) : undefined;
  if (member) return <>{`${member.name} (${member.email})`}</>;
  if (key) return <>{t('role.key', { name: key.name ?? '' })}</>;
  return <code className="oh-break">{actor}</code>;
}

function PolicyEditor({ index, policy: p, tried, onChange, onRemove }: { index: number; policy: Policy; tried: boolean; onChange: (policy: Policy) => void; onRemove?: () => void }) {
  const { t, word } = useWords();
  const { can, organization } = useSession();
  const services = useApi('instanceGetList', {}, { enabled: can('instanceGetList') });
  const kind = p.resources[0]?.split('/')[0] === 'organization' ? 'organization' : 'instance';
  const fitting = permissions.filter((x) => resourceKind(x) === kind);
  const list = (services.data as Schemas['Service'][] | undefined) ?? [];
  const all = `${kind}/*`;
  return (
    <Card title={t('role.policy', { n: index + 1 })} actions={onRemove && <IconButton icon="trash" label={t('role.removePolicy', { n: index + 1 })} onClick={onRemove} />}>
      <div className="oh-columns">
        <Select
          label={t('role.allowDeny')}
          value={p.allowDeny}
          onChange={(v) => onChange({ ...p, allowDeny: v as 'ALLOW' })}
          options={[
            { value: 'ALLOW', label: t('role.allow') },
            { value: 'DENY', label: t('role.deny') },
          ]}
        />
        <Select
          label={t('role.kind')}
          value={kind}
          onChange={(v) => onChange({ ...p, permissions: [], resources: [`${v}/*`] })}
          options={[
            { value: 'instance', label: t('role.kind.instance') },
            { value: 'organization', label: organization?.name ?? t('role.kind.organization') },
          ]}
        />
      </div>
      <fieldset className="oh-checks">
        <legend>{t('role.permissions')}</legend>
        {fitting.map((x) => (
          <Check key={x} label={word('permission', x)} hint={x} checked={p.permissions.includes(x)} onChange={(on) => onChange({ ...p, permissions: on ? [...p.permissions, x] : p.permissions.filter((y) => y !== x) })} />
        ))}
      </fieldset>
      {tried && !p.permissions.length && <Notice state="danger">{t('role.permissionNeeded')}</Notice>}
      {kind === 'instance' && list.length > 0 && (
        <fieldset className="oh-checks">
          <legend>{t('role.services')}</legend>
          <Check label={t('role.allServices')} checked={p.resources.includes(all)} onChange={(on) => onChange({ ...p, resources: on ? [all] : [] })} />
          {!p.resources.includes(all) &&
            list.map((s) => (
              <Check key={s.id} label={s.name} checked={p.resources.includes(`instance/${s.id}`)} onChange={(on) => onChange({ ...p, resources: on ? [...p.resources, `instance/${s.id}`] : p.resources.filter((r) => r !== `instance/${s.id}`) })} />
            ))}
        </fieldset>
      )}
      {tried && !p.resources.length && <Notice state="danger">{t('role.resourceNeeded')}</Notice>}
    </Card>
  );
}
