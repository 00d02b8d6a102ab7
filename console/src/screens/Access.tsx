// Engineers' access: who has asked, what is open, what has ended. Asking happens on the engineer's own device.
import { Link } from '@tanstack/react-router';
import { useMemo, useState } from 'react';
import { useApi } from '../api/hooks';
import type { Schemas } from '../api/client';
import { useSession } from '../app/session';
import { useWords } from '../i18n';
import { accessCommand, readRequest } from '../lib/consent';
import { Button, Check, Empty, Notice, Select, TextInput, Time } from '../ui/basics';
import { CodeBlock } from '../ui/code';
import { Dialog } from '../ui/dialog';
import { Loaded } from '../ui/errors';
import { Page } from '../ui/page';
import { List, type Column } from '../ui/table';
import { stateOf, useInfrastructureNames } from './Requests';
import { State } from './states';

type Grant = Schemas['AccessGrant'];
type Request = Schemas['ConsentRequest'];

export const TARGETS = ['clickhouse.diag', 'clickhouse.querytext', 'prometheus.read', 'cluster.view'] as const;

/** What the control plane knows, in one word: its own record, and before that what the agent says of the request. */
export function grantState(grant: Grant, request: Pick<Request, 'state' | 'notAfter'> | undefined): string {
  if (grant.state !== 'requested') return grant.state;
  return request ? stateOf(request) : 'requested';
}

export const isLive = (state: string) => state === 'requested' || state === 'waiting' || state === 'allowed' || state === 'revoked';

export function Access() {
  const { t, word, list } = useWords();
  const { can } = useSession();
  const [asking, setAsking] = useState(false);
  const [which, setWhich] = useState<'live' | 'ended' | 'all'>('all');
  const grants = useApi('accessGrantGetList');
  const requests = useApi('requestGetList', {}, { enabled: can('requestGetList') });
  const names = useInfrastructureNames();
  const byId = useMemo(() => new Map(((requests.data ?? []) as Request[]).map((r) => [r.id, r])), [requests.data]);
  const rows = useMemo(
    () => ((grants.data ?? []) as Grant[]).map((g) => ({ grant: g, view: readRequest(g.request), state: grantState(g, byId.get(g.id)) })),
    [grants.data, byId],
  );
  type Row = (typeof rows)[number];
  const shown = which === 'all' ? rows : rows.filter((r) => isLive(r.state) === (which === 'live'));
  const columns = useMemo<Column<Row>[]>(
    () => [
      {
        key: 'targets',
        title: t('grant.targets'),
        width: 'minmax(12rem, 3fr)',
        value: (r) => `${r.view.operations.join(' ')} ${r.view.reason} ${r.view.by}`,
        render: (r) => (
          <span className="oh-block">
            <Link to={`/access/${r.grant.id}` as never} className="oh-strong oh-break">
              {list(r.view.operations.map((o) => word('operation', o)))}
            </Link>
            <span className="oh-block oh-muted oh-break">{r.view.reason}</span>
          </span>
        ),
      },
      { key: 'by', title: t('grant.engineer'), width: 'minmax(6rem, 1fr)', value: (r) => r.view.by, render: (r) => <span className="oh-break">{r.view.by}</span> },
      { key: 'where', title: t('infrastructure.title'), width: 'minmax(6rem, 1fr)', value: (r) => names.get(r.grant.infrastructureId), render: (r) => names.get(r.grant.infrastructureId) ?? '–', minor: true },
      { key: 'state', title: t('service.state'), width: '9rem', value: (r) => word('state', r.state), render: (r) => <State value={r.state} /> },
      { key: 'minutes', title: t('grant.minutes'), width: '7rem', value: (r) => r.view.minutes, render: (r) => t('grant.minutes.short', { n: r.view.minutes }), minor: true },
      { key: 'asked', title: t('request.asked'), width: '8rem', value: (r) => r.grant.createdAt, render: (r) => <Time value={r.grant.createdAt} relative /> },
    ],
    [t, word, names],
  );
  const ask = can('accessGrantCreate') && (
    <Button kind="primary" icon="plus" onClick={() => setAsking(true)}>
      {t('grant.ask')}
    </Button>
  );
  return (
    <Page title={t('nav.access')} lead={t('grant.lead')} actions={rows.length > 0 && ask}>
      <Loaded query={grants}>
        {() => (
          <>
            {rows.length > 0 && (
              <div className="oh-list-filter">
                <Select
                  label={t('requests.show')}
                  value={which}
                  onChange={(v) => setWhich(v as typeof which)}
                  options={(['all', 'live', 'ended'] as const).map((v) => ({ value: v, label: word('grant.show', v) }))}
                />
              </div>
            )}
            <List
              key={which}
              label={t('nav.access')}
              rows={shown}
              columns={columns}
              rowKey={(r) => r.grant.id}
              sort={{ key: 'asked', down: true }}
              empty={
                <Empty title={t(rows.length ? 'grant.noneHere' : 'grant.none')} action={!rows.length && ask}>
                  {t(can('accessGrantCreate') ? 'grant.none.do' : 'grant.none.mayNot')}
                </Empty>
              }
            />
          </>
        )}
      </Loaded>
      {asking && <Ask onClose={() => setAsking(false)} />}
    </Page>
  );
}

/** Makes the command, not the request: a request names the device's key, and that key is on the device. */
function Ask({ onClose }: { onClose: () => void }) {
  const { t, word } = useWords();
  const infrastructures = useApi('infrastructureGetList');
  const list = (infrastructures.data ?? []) as Schemas['Infrastructure'][];
  const services = useApi('instanceGetList');
  const [where, setWhere] = useState('');
  const [targets, setTargets] = useState<string[]>(['clickhouse.diag']);
  const [service, setService] = useState('');
  const [minutes, setMinutes] = useState('60');
  const [reason, setReason] = useState('');
  const [ticket, setTicket] = useState('');
  const chosen = list.find((i) => i.id === where) ?? list[0];
  const here = ((services.data ?? []) as Schemas['Service'][]).filter((s) => s.byocId === chosen?.id);
  const n = Number(minutes);
  const wrongMinutes = !Number.isInteger(n) || n < 1 || n > 480;
  const ready = !!chosen && targets.length > 0 && !!reason.trim() && !wrongMinutes;
  return (
    <Dialog title={t('grant.ask')} wide onClose={onClose}>
      <Notice>{t('grant.ask.why')}</Notice>
      <div className="oh-form">
        {list.length > 1 && <Select label={t('infrastructure.title')} value={chosen?.id ?? ''} onChange={setWhere} options={list.map((i) => ({ value: i.id, label: i.displayName }))} />}
        <fieldset className="oh-plain-fields">
          <legend>{t('grant.targets')}</legend>
          {TARGETS.map((target) => (
            <Check
              key={target}
              label={word('operation', `access.${target}`)}
              hint={word('effect', `access.${target}`)}
              checked={targets.includes(target)}
              onChange={(on) => setTargets(TARGETS.filter((x) => (x === target ? on : targets.includes(x))))}
            />
          ))}
        </fieldset>
        <div className="oh-columns">
          <Select
            label={t('grant.services')}
            value={service}
            onChange={setService}
            options={[{ value: '', label: t('grant.allServices') }, ...here.map((s) => ({ value: s.name ?? '', label: s.name ?? '' }))]}
          />
          <TextInput label={t('grant.minutes')} hint={t('grant.minutes.rule')} error={wrongMinutes && t('grant.minutes.rule')} value={minutes} onChange={setMinutes} inputMode="numeric" />
        </div>
        <TextInput label={t('grant.reason')} hint={t('grant.reason.hint')} value={reason} onChange={setReason} maxLength={1000} autoFocus />
        <TextInput label={t('request.ticket')} optional value={ticket} onChange={setTicket} maxLength={200} />
      </div>
      {ready ? (
        <>
          <p>{t('grant.ask.run')}</p>
          <CodeBlock label={t('grant.ask')} text={accessCommand({ infrastructure: chosen.name, targets, services: service ? [service] : [], minutes: n, reason: reason.trim(), ticket: ticket.trim() })} />
          <p className="oh-hint">{t('grant.ask.gate')}</p>
        </>
      ) : (
        <p className="oh-muted">{t('grant.ask.missing')}</p>
      )}
    </Dialog>
  );
}
