// What there is, how it is, and what needs somebody.
import { Link, useNavigate } from '@tanstack/react-router';
import type { ReactNode } from 'react';
import { useApi } from '../api/hooks';
import type { Schemas } from '../api/client';
import { useSession } from '../app/session';
import { useWords } from '../i18n';
import { Button, Card, Empty, Facts, Notice, Time } from '../ui/basics';
import { Loaded } from '../ui/errors';
import { Page } from '../ui/page';
import { stateOf } from './Requests';
import { State } from './states';

type Infrastructure = Schemas['Infrastructure'];
type Service = Schemas['Service'];
type Request = Schemas['ConsentRequest'];

const DAY_MS = 86400000;
// An agent renews a certificate of a day at two thirds of its life: less than a quarter left means that it did not.
const CERTIFICATE_LEFT_MS = DAY_MS / 4;

interface Need {
  key: string;
  state: 'warning' | 'danger' | 'info';
  title: string;
  text?: string;
  action: ReactNode;
}

export function Home() {
  const { t } = useWords();
  const { can, organization } = useSession();
  const navigate = useNavigate();
  const seesServices = can('instanceGetList');
  const seesInfrastructures = can('infrastructureGetList');
  const services = useApi('instanceGetList', {}, { enabled: seesServices });
  const infrastructures = useApi('infrastructureGetList', {}, { enabled: seesInfrastructures });
  const requests = useApi('requestGetList', { query: { state: 'waiting' } }, { enabled: can('requestGetList') });
  const needs = [...useSignatures(requests.data as Request[] | undefined, infrastructures.data as Infrastructure[] | undefined), ...useNeeds(infrastructures.data as Infrastructure[] | undefined, services.data as Service[] | undefined)];
  const none = services.data?.length === 0;
  // Where there is nowhere to run, the one filled button is the one that mends that.
  const nowhere = infrastructures.data?.length === 0 && can('accountCreate');
  const create = can('instanceCreate') && (
    <Button kind={nowhere ? 'secondary' : 'primary'} icon="plus" onClick={() => void navigate({ to: '/services/new' as never })}>
      {t('services.create')}
    </Button>
  );
  return (
    <Page title={organization?.name ?? t('nav.home')} actions={!none && create}>
      {needs.length > 0 && (
        <section aria-labelledby="needs" className="oh-stack">
          <h2 id="needs">{t('home.needs')}</h2>
          {needs.map((n) => (
            <Notice key={n.key} state={n.state} title={n.title} action={n.action}>
              {n.text}
            </Notice>
          ))}
        </section>
      )}
      {seesServices && (
        <Card title={t('nav.services')} actions={<Link to={'/services' as never}>{t('home.allServices')}</Link>}>
          <Loaded query={services}>
            {(list) =>
              list.length ? (
                <Totals services={list as Service[]} />
              ) : (
                <Empty title={t('services.empty')} action={create}>
                  {t(can('instanceCreate') ? 'services.empty.do' : 'services.empty.mayNot')}
                </Empty>
              )
            }
          </Loaded>
        </Card>
      )}
      {seesInfrastructures && (
        <section aria-labelledby="infrastructures" className="oh-stack">
          <h2 id="infrastructures">{t('nav.infrastructures')}</h2>
          <Loaded query={infrastructures}>
            {(list) => (
              <div className="oh-cards">
                {(list as Infrastructure[]).map((i) => (
                  <InfrastructureCard key={i.id} infrastructure={i} />
                ))}
                {list.length === 0 && (
                  <Card>
                    <Empty
                      title={t('infrastructures.empty')}
                      action={
                        can('accountCreate') && (
                          <Button kind="primary" onClick={() => void navigate({ to: '/connect' as never })}>
                            {t('infrastructures.connect')}
                          </Button>
                        )
                      }
                    >
                      {t('infrastructures.empty.do')}
                    </Empty>
                  </Card>
                )}
              </div>
            )}
          </Loaded>
        </section>
      )}
      {!seesServices && !seesInfrastructures && <Empty title={t('home.nothing')}>{t('home.nothing.do')}</Empty>}
    </Page>
  );
}

function Totals({ services }: { services: Service[] }) {
  const { word, number } = useWords();
  const counts = new Map<string, number>();
  for (const s of services) counts.set(s.state ?? '', (counts.get(s.state ?? '') ?? 0) + 1);
  return (
    <ul className="oh-totals">
      {[...counts].map(([state, n]) => (
        <li key={state} aria-label={`${number(n)} ${word('state', state)}`}>
          <span className="oh-total">{number(n)}</span>
          <State value={state} />
        </li>
      ))}
    </ul>
  );
}

/** Where it is too short for the clock to tell, less than one. */
export function roundTrip(ms: number | null | undefined, number: (n: number, options?: Intl.NumberFormatOptions) => string): string {
  if (ms === null || ms === undefined) return '–';
  return ms < 1 ? `< ${number(1)} ms` : `${number(ms, { maximumFractionDigits: 1 })} ms`;
}

export function linkOf(i: Infrastructure) {
  const enrolled = i.agents.filter((a) => a.state === 'enrolled');
  return { enrolled, connected: enrolled.filter((a) => a.connected) };
}

function InfrastructureCard({ infrastructure: i }: { infrastructure: Infrastructure }) {
  const { t, word, number } = useWords();
  const { connected, enrolled } = linkOf(i);
  const agent = connected[0] ?? enrolled[0];
  return (
    <Card
      level={3}
      title={
        <Link to="/infrastructures/$infrastructureId" params={{ infrastructureId: i.id } as never}>
          {i.displayName}
        </Link>
      }
      actions={<State value={i.state} />}
    >
      <Facts
        items={[
          [t('infrastructure.place'), i.regionId === i.cloudProvider ? word('provider', i.cloudProvider) : `${word('provider', i.cloudProvider)} · ${i.regionId}`],
          [t('infrastructure.account'), i.accountName],
          [t('infrastructure.link'), agent ? <State value={connected.length ? 'connected' : 'disconnected'} /> : t('infrastructure.noAgent')],
          agent?.connected && agent.connectedSince ? [t('agent.since'), <Time value={agent.connectedSince} relative />] : null,
          agent?.connected && agent.roundTripMs !== null ? [t('agent.roundTrip'), roundTrip(agent.roundTripMs, number)] : null,
          agent ? [t('agent.version'), agent.version] : null,
        ]}
      />
    </Card>
  );
}

const SHOWN_REQUESTS = 3;

/** Requests that wait for signatures: the first few by name, the rest as a number. */
function useSignatures(requests: Request[] = [], infrastructures: Infrastructure[] = []): Need[] {
  const { t, word, list } = useWords();
  const { can } = useSession();
  const waiting = requests.filter((r) => stateOf(r) === 'waiting' && r.haveCustomer + r.haveVendor < r.needCustomer + r.needVendor);
  const needs: Need[] = waiting.slice(0, SHOWN_REQUESTS).map((r) => ({
    key: r.id,
    state: 'warning',
    title: t('home.signature', { what: list(r.operations.map((o) => word('operation', o))), name: infrastructures.find((i) => i.id === r.infrastructureId)?.displayName ?? t('infrastructure.title') }),
    text: t(can('requestApprove') ? 'home.signature.do' : 'home.signature.mayNot', { have: r.haveCustomer + r.haveVendor, need: r.needCustomer + r.needVendor }),
    action: <Link to={`/requests/${r.id}` as never}>{t('home.show')}</Link>,
  }));
  if (waiting.length > SHOWN_REQUESTS)
    needs.push({ key: 'requests', state: 'warning', title: t('home.signatures', { n: waiting.length - SHOWN_REQUESTS }), action: <Link to={'/requests' as never}>{t('home.show')}</Link> });
  return needs;
}

function useNeeds(infrastructures: Infrastructure[] = [], services: Service[] = []): Need[] {
  const { t, ago } = useWords();
  const { can } = useSession();
  const needs: Need[] = [];
  for (const i of infrastructures) {
    const name = i.displayName;
    const show = (
      <Link to="/infrastructures/$infrastructureId" params={{ infrastructureId: i.id } as never}>
        {t('home.show')}
      </Link>
    );
    if (i.plan?.state === 'proposed')
      needs.push({
        key: `plan-${i.id}`,
        state: 'warning',
        title: t(i.plan.kind === 'destroy' ? 'home.planRemoval' : 'home.plan', { name }),
        text: t(can('planApprove') ? 'home.plan.do' : 'home.plan.mayNot'),
        action: (
          <Link to="/plans/$planId" params={{ planId: i.plan.id } as never}>
            {t('home.readPlan')}
          </Link>
        ),
      });
    if (i.plan?.state === 'failed') needs.push({ key: `failed-${i.id}`, state: 'danger', title: t('home.planFailed', { name }), text: i.plan.error, action: show });
    else if (i.error) needs.push({ key: `error-${i.id}`, state: 'danger', title: t('home.infrastructureError', { name }), text: i.error, action: show });
    for (const a of linkOf(i).enrolled) {
      if (i.state === 'infra-terminated') continue;
      if (!a.connected)
        needs.push({ key: a.id, state: 'danger', title: t('home.disconnected', { name }), text: a.lastSeen ? t('home.disconnected.seen', { ago: ago(a.lastSeen) }) : '', action: show });
      const left = new Date(a.certificateNotAfter).getTime() - Date.now();
      if (left < CERTIFICATE_LEFT_MS) needs.push({ key: `${a.id}-c`, state: 'warning', title: t('home.certificate', { name }), text: t('home.certificate.ends', { ago: ago(a.certificateNotAfter) }), action: show });
    }
  }
  for (const s of services)
    if (s.state === 'failed' || s.state === 'degraded')
      needs.push({
        key: s.id!,
        state: s.state === 'failed' ? 'danger' : 'warning',
        title: t('home.service', { name: s.name ?? '' }),
        text: s.ownhouse?.error,
        action: (
          <Link to="/services/$serviceId" params={{ serviceId: s.id! } as never}>
            {t('home.show')}
          </Link>
        ),
      });
  return needs;
}
