// Who belongs to the organization, and who is invited.
import { useMemo, useState } from 'react';
import { useApi, useChange } from '../api/hooks';
import type { Schemas } from '../api/client';
import { useSession } from '../app/session';
import { useWords } from '../i18n';
import { Button, Card, Check, Empty, IconButton, Notice, TextInput, Time } from '../ui/basics';
import { CodeBlock } from '../ui/code';
import { Confirm, Dialog } from '../ui/dialog';
import { Loaded, Problem } from '../ui/errors';
import { Page } from '../ui/page';
import { List, type Column } from '../ui/table';
import { announce } from '../ui/toast';

type Member = Schemas['Member'];
type Invitation = Schemas['Invitation'];
type Role = Schemas['RBACRole'];

export function RolePicker({ chosen, onChange, roles }: { chosen: string[]; onChange: (ids: string[]) => void; roles: Role[] }) {
  const { t, word, named } = useWords();
  return (
    <fieldset className="oh-checks">
      <legend>{t('roles.assigned')}</legend>
      {roles.map((r) => (
        <Check
          key={r.id}
          label={named('role.named', r.name)}
          hint={r.type === 'custom' ? t('roles.custom') : word('role.hint', r.id?.slice(-2))}
          checked={chosen.includes(r.id!)}
          onChange={(on) => onChange(on ? [...chosen, r.id!] : chosen.filter((x) => x !== r.id))}
        />
      ))}
    </fieldset>
  );
}

export function Members() {
  const words = useWords();
  const { t, named } = words;
  const { can, signedIn } = useSession();
  const members = useApi('memberGetList');
  const invitations = useApi('invitationGetList');
  const roles = useApi('organizationRolesGetList');
  const [inviting, setInviting] = useState(false);
  const [changing, setChanging] = useState<Member | null>(null);
  const [removing, setRemoving] = useState<Member | null>(null);
  const [withdrawing, setWithdrawing] = useState<Invitation | null>(null);
  const update = useChange('memberUpdate', () => {
    setChanging(null);
    announce(t('form.saved'));
  });
  const remove = useChange('memberDelete', () => setRemoving(null));
  const withdraw = useChange('invitationDelete', () => setWithdrawing(null));
  const [chosen, setChosen] = useState<string[]>([]);
  const may = can('memberUpdate');
  const roleNames = (list?: { roleName?: string }[]) => words.list(list?.map((r) => named('role.named', r.roleName)) ?? []);
  const columns = useMemo<Column<Member>[]>(
    () => [
      { key: 'name', title: t('member.name'), value: (m) => m.name, render: (m) => <strong>{m.name}</strong> },
      { key: 'email', title: t('signIn.email'), width: 'minmax(10rem, 2fr)', value: (m) => m.email, render: (m) => <span className="oh-break">{m.email}</span> },
      { key: 'roles', title: t('nav.roles'), value: (m) => roleNames(m.assignedRoles), render: (m) => roleNames(m.assignedRoles) || '–' },
      { key: 'joined', title: t('member.joined'), width: '9rem', value: (m) => m.joinedAt, render: (m) => <Time value={m.joinedAt} relative />, minor: true },
      ...(may
        ? [
            {
              key: 'acts',
              title: '',
              width: '10rem',
              end: true,
              render: (m: Member) => (
                <span className="oh-line-end">
                  <Button
                    kind="empty"
                    onClick={() => {
                      setChosen(m.assignedRoles?.map((r) => r.roleId!) ?? []);
                      setChanging(m);
                    }}
                  >
                    {t('member.roles')}
                  </Button>
                  <IconButton icon="trash" label={t('member.remove', { name: m.name ?? '' })} onClick={() => setRemoving(m)} />
                </span>
              ),
            },
          ]
        : []),
    ],
    [t, named, may],
  );
  const open = useMemo<Column<Invitation>[]>(
    () => [
      { key: 'email', title: t('signIn.email'), width: 'minmax(10rem, 2fr)', value: (i) => i.email, render: (i) => <span className="oh-break">{i.email}</span> },
      { key: 'roles', title: t('nav.roles'), value: (i) => roleNames(i.assignedRoles), render: (i) => roleNames(i.assignedRoles) },
      { key: 'ends', title: t('invitation.ends'), width: '10rem', value: (i) => i.expireAt, render: (i) => <Time value={i.expireAt} relative /> },
      ...(can('invitationDelete')
        ? [{ key: 'acts', title: '', width: '5rem', end: true, render: (i: Invitation) => <IconButton icon="trash" label={t('invitation.withdraw', { email: i.email ?? '' })} onClick={() => setWithdrawing(i)} /> }]
        : []),
    ],
    [t, can],
  );
  return (
    <Page
      title={t('nav.members')}
      actions={
        can('invitationCreate') && (
          <Button kind="primary" icon="plus" onClick={() => setInviting(true)}>
            {t('invitation.new')}
          </Button>
        )
      }
    >
      <Loaded query={members}>{(list) => <List label={t('nav.members')} rows={list as Member[]} columns={columns} rowKey={(m) => m.userId!} sort={{ key: 'name' }} empty={<Empty title={t('member.empty')}>{t('invitation.none.do')}</Empty>} />}</Loaded>
      <Card title={t('invitation.open')}>
        <Loaded query={invitations}>
          {(list) => <List label={t('invitation.open')} rows={list as Invitation[]} columns={open} rowKey={(i) => i.id!} sort={{ key: 'email' }} empty={<Empty title={t('invitation.none')}>{can('invitationCreate') && t('invitation.none.do')}</Empty>} />}
        </Loaded>
      </Card>
      {inviting && <Invite roles={(roles.data as Role[] | undefined) ?? []} onClose={() => setInviting(false)} />}
      {changing && (
        <Confirm title={t('member.roles.title', { name: changing.name ?? '' })} act={t('form.save')} busy={update.isPending} problem={update.error} onClose={() => setChanging(null)} onConfirm={() => update.mutate({ path: { userId: changing.userId! }, body: { assignedRoleIds: chosen } })}>
          <RolePicker chosen={chosen} onChange={setChosen} roles={(roles.data as Role[] | undefined) ?? []} />
          {changing.userId === signedIn?.profile.id && <Notice state="warning">{t('member.self')}</Notice>}
        </Confirm>
      )}
      {removing && (
        <Confirm title={t('member.remove', { name: removing.name ?? '' })} act={t('member.remove.act')} typed={removing.email} danger busy={remove.isPending} problem={remove.error} onClose={() => setRemoving(null)} onConfirm={() => remove.mutate({ path: { userId: removing.userId! } })}>
          <p>{t('member.remove.what')}</p>
        </Confirm>
      )}
      {withdrawing && (
        <Confirm title={t('invitation.withdraw', { email: withdrawing.email ?? '' })} act={t('invitation.withdraw.act')} danger busy={withdraw.isPending} problem={withdraw.error} onClose={() => setWithdrawing(null)} onConfirm={() => withdraw.mutate({ path: { invitationId: withdrawing.id! } })}>
          <p>{t('invitation.withdraw.what')}</p>
        </Confirm>
      )}
    </Page>
  );
}

function Invite({ roles, onClose }: { roles: Role[]; onClose: () => void }) {
  const { t, date } = useWords();
  const [email, setEmail] = useState('');
  const [chosen, setChosen] = useState<string[]>([]);
  const [tried, setTried] = useState(false);
  const create = useChange('invitationCreate');
  const made = create.data as Invitation | undefined;
  if (made)
    return (
      <Dialog title={t('invitation.made')} onClose={onClose}>
        <div className="oh-stack">
          <p>{t('invitation.made.what', { email: made.email ?? '', date: date(made.expireAt!) })}</p>
          <CodeBlock text={made.ownhouse?.link ?? ''} label={t('invitation.link')} />
          <div className="oh-form-actions">
            <Button kind="primary" onClick={onClose}>
              {t('action.done')}
            </Button>
          </div>
        </div>
      </Dialog>
    );
  return (
    <Dialog title={t('invitation.new')} onClose={onClose}>
      <form
        className="oh-form"
        onSubmit={(e) => {
          e.preventDefault();
          setTried(true);
          if (chosen.length) create.mutate({ body: { email: email.trim(), assignedRoleIds: chosen } });
        }}
      >
        <TextInput label={t('signIn.email')} type="email" required value={email} onChange={setEmail} autoFocus autoComplete="off" />
        <RolePicker chosen={chosen} onChange={setChosen} roles={roles} />
        {tried && !chosen.length && <Notice state="danger">{t('roles.needed')}</Notice>}
        {create.error && <Problem problem={create.error} />}
        <div className="oh-form-actions">
          <Button onClick={onClose}>{t('action.cancel')}</Button>
          <Button submit kind="primary" busy={create.isPending}>
            {t('invitation.create')}
          </Button>
        </div>
      </form>
    </Dialog>
  );
}
