// Other ways to a service: who may send queries by HTTP with an API key, and private endpoints of its cloud.
import { useState } from 'react';
import { useApi, useChange } from '../api/hooks';
import type { Schemas } from '../api/client';
import { useSession } from '../app/session';
import { useWords } from '../i18n';
import { Button, Card, Check, Empty, Facts, IconButton, Notice, TextInput } from '../ui/basics';
import { Copyable } from '../ui/code';
import { Confirm, Dialog } from '../ui/dialog';
import { Loaded, Problem } from '../ui/errors';
import { announce } from '../ui/toast';
import { usePolicyModes } from './Sealed';

type QueryEndpoint = Schemas['ServiceQueryAPIEndpoint'];
type Service = Schemas['Service'];

const ROLES = ['sql_console_read_only', 'sql_console_admin'] as const;

export function ServiceEndpoints({ service: s }: { service: Service }) {
  const { can } = useSession();
  return (
    <div className="oh-stack">
      {can('instanceQueryEndpointGet') && <QueryEndpointCard service={s} />}
      {can('instancePrivateEndpointConfigGet') && <PrivateEndpoints service={s} />}
    </div>
  );
}

function QueryEndpointCard({ service: s }: { service: Service }) {
  const { t, word } = useWords();
  const { can } = useSession();
  const path = { serviceId: s.id! };
  const query = useApi('instanceQueryEndpointGet', { path });
  const keys = useApi('openapiKeyGetList', {}, { enabled: can('openapiKeyGetList') });
  const [dialog, setDialog] = useState<'' | 'edit' | 'remove'>('');
  const remove = useChange('instanceQueryEndpointDelete', () => {
    setDialog('');
    announce(t('query.removed'));
  });
  const none = query.error?.status === 404;
  const may = can('instanceQueryEndpointUpsert');
  const endpoint = none ? null : ((query.data as QueryEndpoint | undefined) ?? null);
  const keyName = (id: string) => (keys.data as Schemas['ApiKey'][] | undefined)?.find((k) => k.id === id)?.name ?? id;
  const edit = may && (
    <Button icon={endpoint ? undefined : 'plus'} onClick={() => setDialog('edit')}>
      {t(endpoint ? 'action.edit' : 'query.add')}
    </Button>
  );
  return (
    <Card
      title={t('query.title')}
      actions={
        endpoint && (
          <>
            {edit}
            {can('instanceQueryEndpointDelete') && <Button onClick={() => setDialog('remove')}>{t('query.remove')}</Button>}
          </>
        )
      }
    >
      <p className="oh-muted">{t('query.what')}</p>
      {none ? (
        <Empty title={t('query.none')} action={edit}>
          {t(may ? 'query.none.do' : 'query.none.mayNot')}
        </Empty>
      ) : (
        <Loaded query={query}>
          {(e) => {
            const q = e as QueryEndpoint;
            return (
              <Facts
                items={[
                  [t('query.keys'), q.openApiKeys?.length ? q.openApiKeys.map(keyName).join(', ') : t('query.noKeys')],
                  [t('query.roles'), q.roles?.length ? q.roles.map((r) => word('query.role', r)).join(', ') : '–'],
                  [t('query.origins'), q.allowedOrigins || t('query.noOrigins')],
                  q.id ? [t('query.id'), <Copyable text={q.id} />] : null,
                ]}
              />
            );
          }}
        </Loaded>
      )}
      {dialog === 'edit' && <EditQuery service={s} before={endpoint} keys={(keys.data as Schemas['ApiKey'][] | undefined) ?? []} onClose={() => setDialog('')} />}
      {dialog === 'remove' && (
        <Confirm title={t('query.remove.title')} act={t('query.remove')} danger busy={remove.isPending} problem={remove.error} onClose={() => setDialog('')} onConfirm={() => remove.mutate({ path })}>
          <p>{t('query.remove.what')}</p>
        </Confirm>
      )}
    </Card>
  );
}

function EditQuery({ service: s, before, keys, onClose }: { service: Service; before: QueryEndpoint | null; keys: Schemas['ApiKey'][]; onClose: () => void }) {
  const { t, word } = useWords();
  const { isSealed } = usePolicyModes();
  const [chosen, setChosen] = useState<string[]>(before?.openApiKeys ?? []);
  const [roles, setRoles] = useState<string[]>(before?.roles ?? ['sql_console_read_only']);
  const [origins, setOrigins] = useState(before?.allowedOrigins ?? '');
  const change = useChange('instanceQueryEndpointUpsert', () => {
    announce(t('form.saved'));
    onClose();
  });
  const flip = (list: string[], one: string, on: boolean) => (on ? [...list, one] : list.filter((x) => x !== one));
  return (
    <Dialog title={t('query.title')} onClose={onClose}>
      <form
        className="oh-form"
        onSubmit={(e) => {
          e.preventDefault();
          change.mutate({ path: { serviceId: s.id! }, body: { openApiKeys: chosen, roles: roles as never, allowedOrigins: origins.trim() } });
        }}
      >
        <fieldset className="oh-choice">
          <legend>{t('query.keys')}</legend>
          {keys.map((k) => (
            <Check key={k.id} label={k.name ?? k.id ?? ''} checked={chosen.includes(k.id!)} onChange={(on) => setChosen(flip(chosen, k.id!, on))} />
          ))}
          {!keys.length && <p className="oh-muted">{t('query.keys.none')}</p>}
          <p className="oh-hint">{t('query.keys.where')}</p>
          {isSealed(s.byocId) && <Notice title={t('sealed.title')}>{t('query.keys.sealed')}</Notice>}
        </fieldset>
        <fieldset className="oh-choice">
          <legend>{t('query.roles')}</legend>
          {ROLES.map((r) => (
            <Check key={r} label={word('query.role', r)} checked={roles.includes(r)} onChange={(on) => setRoles(flip(roles, r, on))} />
          ))}
        </fieldset>
        <TextInput label={t('query.origins')} hint={t('query.origins.hint')} optional value={origins} onChange={setOrigins} spellCheck={false} maxLength={4096} />
        {change.error && <Problem problem={change.error} />}
        <div className="oh-form-actions">
          <Button onClick={onClose}>{t('action.cancel')}</Button>
          <Button submit kind="primary" busy={change.isPending}>
            {t('form.save')}
          </Button>
        </div>
      </form>
    </Dialog>
  );
}

function PrivateEndpoints({ service: s }: { service: Service }) {
  const { t } = useWords();
  const { can } = useSession();
  const path = { serviceId: s.id! };
  const config = useApi('instancePrivateEndpointConfigGet', { path });
  const [id, setId] = useState('');
  const [what, setWhat] = useState('');
  const [leaving, setLeaving] = useState('');
  const add = useChange('instancePrivateEndpointCreate', () => {
    setId('');
    setWhat('');
    announce(t('form.saved'));
  });
  const change = useChange('instanceUpdate', () => {
    setLeaving('');
    announce(t('form.saved'));
  });
  const inside = s.privateEndpointIds ?? [];
  const others = (s.availablePrivateEndpointIds ?? []).filter((one) => !inside.includes(one));
  const may = can('instancePrivateEndpointCreate');
  return (
    <Card title={t('private.title')}>
      <p className="oh-muted">{t('private.what')}</p>
      <Loaded query={config}>
        {(c) =>
          c.endpointServiceId ? (
            <Facts
              items={[
                [t('private.service'), <Copyable text={c.endpointServiceId} />],
                c.privateDnsHostname ? [t('private.host'), <Copyable text={c.privateDnsHostname} />] : null,
              ]}
            />
          ) : (
            <Notice>{t('private.noService')}</Notice>
          )
        }
      </Loaded>
      {inside.length ? (
        <ul className="oh-lines" aria-label={t('private.title')}>
          {inside.map((one) => (
            <li key={one}>
              <code className="oh-break">{one}</code>
              {can('instanceUpdate') && <IconButton icon="trash" label={t('private.remove', { id: one })} onClick={() => setLeaving(one)} />}
            </li>
          ))}
        </ul>
      ) : (
        <p className="oh-muted">{t('private.none')}</p>
      )}
      {can('instanceUpdate') && others.length > 0 && (
        <div className="oh-actions">
          {others.map((one) => (
            <Button key={one} icon="plus" onClick={() => change.mutate({ path, body: { privateEndpointIds: { add: [one] } } })}>
              {t('private.letIn', { id: one })}
            </Button>
          ))}
        </div>
      )}
      {may && (
        <form
          className="oh-form"
          onSubmit={(e) => {
            e.preventDefault();
            if (id.trim()) add.mutate({ path, body: { id: id.trim(), ...(what.trim() ? { description: what.trim() } : {}) } });
          }}
        >
          <div className="oh-inline">
            <TextInput label={t('private.id')} hint={t('private.id.hint')} value={id} onChange={setId} maxLength={256} spellCheck={false} autoComplete="off" />
            <TextInput label={t('access.description')} optional value={what} onChange={setWhat} maxLength={256} autoComplete="off" />
            <Button submit icon="plus" busy={add.isPending} disabled={!id.trim()}>
              {t('access.add')}
            </Button>
          </div>
          {add.error && <Problem problem={add.error} />}
          {change.error && !leaving && <Problem problem={change.error} />}
        </form>
      )}
      {leaving && (
        <Confirm
          title={t('private.remove', { id: leaving })}
          act={t('private.remove.act')}
          danger
          busy={change.isPending}
          problem={change.error}
          onClose={() => setLeaving('')}
          onConfirm={() => change.mutate({ path, body: { privateEndpointIds: { remove: [leaving] } } })}
        >
          <p>{t('private.remove.what')}</p>
        </Confirm>
      )}
    </Card>
  );
}
