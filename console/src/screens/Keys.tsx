// API keys. The secret is made in this page, or on the reader's device where a policy is sealed; the control plane is sent
// hashes only.
import { useMemo, useState, type FormEvent } from 'react';
import { useApi, useChange } from '../api/hooks';
import type { Schemas } from '../api/client';
import { useSession } from '../app/session';
import { useWords } from '../i18n';
import { shellQuote } from '../lib/connect';
import type { Entry } from '../lib/patches';
import { KEY_LINES, readHashes } from '../lib/deviceKey';
import { makeKey } from '../lib/secrets';
import { Button, Check, Empty, Facts, IconButton, Notice, TextArea, TextInput, Time } from '../ui/basics';
import { CodeBlock, Copyable } from '../ui/code';
import { Confirm, Dialog } from '../ui/dialog';
import { Loaded, Problem } from '../ui/errors';
import { Page } from '../ui/page';
import { List, type Column } from '../ui/table';
import { announce } from '../ui/toast';
import { AccessEditor } from './AccessList';
import { RolePicker } from './Members';
import { SealedNotice, usePolicyModes } from './Sealed';
import { State } from './states';

type ApiKey = Schemas['ApiKey'];
type Role = Schemas['RBACRole'];

export function Keys() {
  const { t, word, named, list, sentences } = useWords();
  const { can } = useSession();
  const query = useApi('openapiKeyGetList');
  const { asking, anySealed } = usePolicyModes();
  const [creating, setCreating] = useState(false);
  const [removing, setRemoving] = useState<ApiKey | null>(null);
  const remove = useChange('openapiKeyDelete', () => setRemoving(null));
  const update = useChange('openapiKeyUpdate', () => announce(t('form.saved')));
  const roleNames = (k: ApiKey) => list(k.assignedRoles?.map((r) => named('role.named', r.roleName)) ?? []);
  const columns = useMemo<Column<ApiKey>[]>(
    () => [
      { key: 'name', title: t('key.name'), width: 'minmax(10rem, 2fr)', value: (k) => k.name, render: (k) => <strong>{k.name}</strong> },
      { key: 'state', title: t('service.state'), width: '8rem', value: (k) => k.state, render: (k) => <State value={k.expireAt && new Date(k.expireAt) < new Date() ? 'expired' : (k.state ?? '')} /> },
      { key: 'roles', title: t('nav.roles'), value: (k) => roleNames(k), render: (k) => roleNames(k) || '–' },
      { key: 'suffix', title: t('key.id'), width: '7rem', value: (k) => k.keySuffix, render: (k) => <code>…{k.keySuffix}</code>, minor: true },
      { key: 'used', title: t('key.used'), width: '9rem', value: (k) => k.usedAt, render: (k) => (k.usedAt ? <Time value={k.usedAt} relative /> : t('key.never')), minor: true },
      { key: 'ends', title: t('key.ends'), width: '9rem', value: (k) => k.expireAt, render: (k) => (k.expireAt ? <Time value={k.expireAt} relative /> : t('key.neverEnds')), minor: true },
      ...(can('openapiKeyUpdate')
        ? [
            {
              key: 'acts',
              title: '',
              width: '10rem',
              end: true,
              render: (k: ApiKey) => (
                <span className="oh-line-end">
                  <Button kind="empty" onClick={() => update.mutate({ path: { keyId: k.id! }, body: { state: k.state === 'enabled' ? 'disabled' : 'enabled' } })}>
                    {t(k.state === 'enabled' ? 'key.disable' : 'key.enable')}
                  </Button>
                  {can('openapiKeyDelete') && <IconButton icon="trash" label={t('key.remove', { name: k.name ?? '' })} onClick={() => setRemoving(k)} />}
                </span>
              ),
            },
          ]
        : []),
    ],
    [t, word, can, update],
  );
  const create = can('openapiKeyCreate') && (
    <Button kind="primary" icon="plus" onClick={() => setCreating(true)}>
      {t('key.create')}
    </Button>
  );
  return (
    <Page title={t('nav.keys')} lead={asking ? t('keys.lead') : sentences(t('keys.lead'), t(anySealed ? 'keys.where.sealed' : 'keys.where'))} actions={(query.data?.length ?? 0) > 0 && create}>
      {update.error && <Problem problem={update.error} />}
      <Loaded query={query}>
        {(list) => (
          <List
            label={t('nav.keys')}
            rows={list as ApiKey[]}
            columns={columns}
            rowKey={(k) => k.id!}
            sort={{ key: 'name' }}
            empty={
              <Empty title={t('keys.empty')} action={create}>
                {t('keys.empty.do')}
              </Empty>
            }
          />
        )}
      </Loaded>
      {creating && <CreateKey onClose={() => setCreating(false)} />}
      {removing && (
        <Confirm title={t('key.remove', { name: removing.name ?? '' })} act={t('action.delete')} typed={removing.name} danger busy={remove.isPending} problem={remove.error} onClose={() => setRemoving(null)} onConfirm={() => remove.mutate({ path: { keyId: removing.id! } })}>
          <p>{t('key.remove.what')}</p>
        </Confirm>
      )}
    </Page>
  );
}

function CreateKey({ onClose }: { onClose: () => void }) {
  const { t } = useWords();
  const { organization } = useSession();
  const roles = useApi('organizationRolesGetList');
  const [name, setName] = useState('');
  const [chosen, setChosen] = useState<string[]>([]);
  const [ends, setEnds] = useState('');
  const [limited, setLimited] = useState(false);
  const [entries, setEntries] = useState<Entry[]>([]);
  const [tried, setTried] = useState(false);
  const { asking, anySealed } = usePolicyModes();
  const [pasted, setPasted] = useState('');
  const [key, setKey] = useState<{ keyId: string; keySecret: string } | null>(null);
  const create = useChange('openapiKeyCreate');
  async function submit(e: FormEvent) {
    e.preventDefault();
    setTried(true);
    const hashes = anySealed ? readHashes(pasted) : null;
    if (asking || !name.trim() || !chosen.length || (anySealed && !hashes)) return;
    const made = hashes ? null : await makeKey();
    create.mutate(
      {
        body: {
          name: name.trim(),
          assignedRoleIds: chosen,
          hashData: hashes ?? made!.hashData,
          ...(ends ? { expireAt: new Date(`${ends}T23:59:59`).toISOString() } : {}),
          ...(limited ? { ipAccessList: entries } : {}),
        },
      },
      {
        onSuccess: () => {
          if (made) return setKey(made);
          announce(t('key.made'));
          onClose();
        },
      },
    );
  }
  if (key) {
    const line = `curl --cacert ownhouse-edge-ca.pem --user ${shellQuote(`${key.keyId}:${key.keySecret}`)} ${location.origin}/v1/organizations/${organization?.id}`;
    return (
      <Dialog title={t('key.made')} wide onClose={onClose}>
        <div className="oh-stack">
          <Notice state="warning" title={t('key.once')}>
            {t('key.once.what')}
          </Notice>
          <Facts
            items={[
              [t('key.id'), <Copyable text={key.keyId} />],
              [t('key.secret'), <Copyable text={key.keySecret} />],
            ]}
          />
          <p className="oh-muted">{t('key.try')}</p>
          <CodeBlock text={line} label={t('key.try')} />
          <div className="oh-form-actions">
            <Button kind="primary" onClick={onClose}>
              {t('key.kept')}
            </Button>
          </div>
        </div>
      </Dialog>
    );
  }
  return (
    <Dialog title={t('key.create')} onClose={onClose}>
      <form className="oh-form" onSubmit={(e) => void submit(e)} noValidate>
        <TextInput label={t('key.name')} hint={t('key.name.hint')} value={name} onChange={setName} maxLength={100} required error={tried && !name.trim() && t('key.nameNeeded')} autoFocus autoComplete="off" />
        <RolePicker chosen={chosen} onChange={setChosen} roles={(roles.data as Role[] | undefined) ?? []} />
        {tried && !chosen.length && <Notice state="danger">{t('roles.needed')}</Notice>}
        <TextInput label={t('key.ends')} optional type="date" value={ends} onChange={setEnds} min={new Date().toISOString().slice(0, 10)} />
        <Check label={t('key.limit')} checked={limited} onChange={setLimited} />
        {limited && <AccessEditor entries={entries} onChange={setEntries} />}
        {anySealed && (
          <>
            <SealedNotice what={t('sealed.key.what')} command={KEY_LINES} after={t('sealed.key.after')} />
            <TextArea label={t('sealed.key.hashes')} value={pasted} onChange={setPasted} rows={3} required spellCheck={false} error={tried && !readHashes(pasted) && t('sealed.key.wrong')} />
          </>
        )}
        {create.error && <Problem problem={create.error} />}
        <div className="oh-form-actions">
          <Button onClick={onClose}>{t('action.cancel')}</Button>
          <Button submit kind="primary" busy={create.isPending} disabled={asking}>
            {t('key.create')}
          </Button>
        </div>
      </form>
    </Dialog>
  );
}
