// How large a service is, by the hour of the week, and when it may be upgraded.
import { useState } from 'react';
import { useApi, useChange } from '../api/hooks';
import type { Schemas } from '../api/client';
import { useSession } from '../app/session';
import { useWords } from '../i18n';
import { replicasTyped, settingsSent, settingsTyped } from '../lib/stretches';
import { overlap, weekGrid } from '../lib/week';
import { Button, Card, Check, Empty, Facts, IconButton, Notice, Select, TextInput } from '../ui/basics';
import { Dialog } from '../ui/dialog';
import { Loaded, Problem } from '../ui/errors';
import { announce } from '../ui/toast';
import { sizeText } from './Services';
import { StretchSettings } from './StretchSettings';

type Service = Schemas['Service'];
type Window = Schemas['UpgradeWindowPutRequest'];
type Entry = Schemas['ScalingScheduleEntryRequest'];

const MEMORY = [8, 16, 32, 64, 128, 236, 356];
const REPLICAS = [1, 2, 3, 4, 5, 6, 8, 10, 16, 20];

export function useWeekdays(): string[] {
  const { locale } = useWords();
  // 2023-01-01 was a Sunday.
  return Array.from({ length: 7 }, (_, i) => new Intl.DateTimeFormat(locale, { weekday: 'short', timeZone: 'UTC' }).format(Date.UTC(2023, 0, 1 + i)));
}

export function ServiceScaling({ service: s }: { service: Service }) {
  return (
    <div className="oh-stack">
      <Size service={s} />
      <Schedule service={s} />
      <UpgradeWindow service={s} />
    </div>
  );
}

function numbers(list: number[], now: number | undefined) {
  return [...new Set([...list, ...(now ? [now] : [])])].sort((a, b) => a - b);
}

function Size({ service: s }: { service: Service }) {
  const { t, number } = useWords();
  const { can } = useSession();
  const saved = {
    min: String(s.minReplicaMemoryGb ?? 8),
    max: String(s.maxReplicaMemoryGb ?? 8),
    replicas: String(s.numReplicas ?? s.maxReplicas ?? 1),
    idle: s.idleScaling ?? false,
    minutes: String(s.idleTimeoutMinutes ?? 15),
  };
  const [draft, setDraft] = useState<typeof saved | null>(null);
  const change = useChange('instanceReplicaScalingUpdate', () => {
    setDraft(null);
    announce(t('form.saved'));
  });
  const now = draft ?? saved;
  const set = (part: Partial<typeof saved>) => setDraft({ ...now, ...part });
  const wrong = Number(now.max) < Number(now.min);
  if (!can('instanceReplicaScalingUpdate'))
    return (
      <Card title={t('scaling.size')}>
        <Facts
          items={[
            [t('service.size'), sizeText(s, number)],
            [t('service.idle'), s.idleScaling ? t('service.idle.after', { n: s.idleTimeoutMinutes ?? 15 }) : t('service.idle.never')],
          ]}
        />
      </Card>
    );
  const gigabytes = (now: number) => numbers(MEMORY, now).map((n) => ({ value: String(n), label: `${number(n)} GB` }));
  return (
    <Card title={t('scaling.size')}>
      <form
        className="oh-form"
        onSubmit={(e) => {
          e.preventDefault();
          if (!wrong)
            change.mutate({
              path: { serviceId: s.id! },
              body: {
                minReplicaMemoryGb: Number(now.min),
                maxReplicaMemoryGb: Number(now.max),
                numReplicas: Number(now.replicas),
                idleScaling: now.idle,
                ...(now.idle ? { idleTimeoutMinutes: Number(now.minutes) } : {}),
              },
            });
        }}
      >
        <div className="oh-columns">
          <Select label={t('scaling.min')} value={now.min} onChange={(min) => set({ min })} options={gigabytes(s.minReplicaMemoryGb ?? 8)} />
          <Select label={t('scaling.max')} error={wrong && t('scaling.order')} value={now.max} onChange={(max) => set({ max })} options={gigabytes(s.maxReplicaMemoryGb ?? 8)} />
          <Select label={t('create.replicas')} value={now.replicas} onChange={(replicas) => set({ replicas })} options={numbers(REPLICAS, s.numReplicas).map((n) => ({ value: String(n), label: number(n) }))} />
        </div>
        <Check label={t('scaling.idle')} checked={now.idle} onChange={(idle) => set({ idle })} />
        {now.idle && <TextInput label={t('scaling.idleMinutes')} type="number" min={5} step={1} required value={now.minutes} onChange={(minutes) => set({ minutes })} />}
        {change.error && <Problem problem={change.error} />}
        <div className="oh-form-actions">
          {draft && <Button onClick={() => setDraft(null)}>{t('form.discard')}</Button>}
          <Button submit kind="primary" busy={change.isPending} disabled={!draft || wrong}>
            {t('form.save')}
          </Button>
        </div>
      </form>
    </Card>
  );
}

function Schedule({ service: s }: { service: Service }) {
  const { t, number } = useWords();
  const { can } = useSession();
  const days = useWeekdays();
  const query = useApi('scalingScheduleGet', { path: { serviceId: s.id! } });
  const [editing, setEditing] = useState<{ index: number; entry: Entry } | null>(null);
  const save = useChange('scalingScheduleUpsert', () => {
    setEditing(null);
    announce(t('form.saved'));
  });
  const clear = useChange('scalingScheduleDelete', () => announce(t('form.saved')));
  const may = can('scalingScheduleUpsert');
  const none = query.error?.status === 404; // no schedule was ever set
  const put = (entries: Entry[]) => {
    if (entries.length) save.mutate({ path: { serviceId: s.id! }, body: { entries } });
    else clear.mutate({ path: { serviceId: s.id! } });
  };
  return (
    <Card
      title={t('schedule.title')}
      actions={
        may && (
          <Button
            icon="plus"
            onClick={() =>
              setEditing({ index: -1, entry: { name: '', weekdays: [1, 2, 3, 4, 5], startHourUtc: 8, endHourUtc: 18, numReplicas: s.numReplicas ?? 1, minReplicaMemoryGb: s.minReplicaMemoryGb, maxReplicaMemoryGb: s.maxReplicaMemoryGb } as Entry })
            }
          >
            {t('schedule.add')}
          </Button>
        )
      }
    >
      <p className="oh-muted">{t('schedule.what')}</p>
      <Loaded query={none ? { ...query, data: null as never } : query}>
        {(data) => {
          const entries = ((data as Schemas['ScalingSchedule'] | null)?.entries ?? []).map(plain);
          const grid = weekGrid(entries);
          return (
            <>
              {(save.error || clear.error) && !editing && <Problem problem={save.error ?? clear.error} />}
              {entries.length === 0 ? (
                <Empty title={t('schedule.empty')}>{t('schedule.empty.do')}</Empty>
              ) : (
                <>
                  <div className="oh-week-frame" tabIndex={0} role="region" aria-label={t('schedule.title')}>
                    <table className="oh-week">
                      <caption className="oh-hidden">{t('schedule.title')}</caption>
                      <thead>
                        <tr>
                          <th scope="col">UTC</th>
                          {Array.from({ length: 24 }, (_, h) => (
                            <th key={h} scope="col">
                              {h}
                            </th>
                          ))}
                        </tr>
                      </thead>
                      <tbody>
                        {[1, 2, 3, 4, 5, 6, 0].map((d) => (
                          <tr key={d}>
                            <th scope="row">{days[d]}</th>
                            {grid[d]!.map((index, h) => (
                              <td key={h} className={index < 0 ? '' : `is-${index % 6}`} title={index < 0 ? '' : entries[index]!.name}>
                                {index >= 0 && <span className="oh-hidden">{entries[index]!.name}</span>}
                              </td>
                            ))}
                          </tr>
                        ))}
                      </tbody>
                    </table>
                  </div>
                  <ul className="oh-lines">
                    {entries.map((e, i) => (
                      <li key={i}>
                        <span className={`oh-swatch is-${i % 6}`} aria-hidden="true" />
                        <span>
                          <strong>{e.name}</strong>{' '}
                          <span className="oh-muted">
                            {e.weekdays.map((d) => days[d]).join(', ')} · {e.startHourUtc}:00–{e.endHourUtc}:00 UTC
                            {e.maxReplicaMemoryGb ? ` · ${[...new Set([e.minReplicaMemoryGb ?? e.maxReplicaMemoryGb, e.maxReplicaMemoryGb])].map((n) => number(n)).join('–')} GB` : ''}
                            {e.numReplicas ? ` · ${t('schedule.replicas', { n: e.numReplicas })}` : ''}
                            {e.minReplicas ? ` · ${t('schedule.replicas.band', { min: number(e.minReplicas), max: number(e.maxReplicas ?? e.minReplicas) })}` : ''}
                          </span>
                          {settingsTyped(e.clickhouseSettings).map((setting) => (
                            <code key={setting.name} className="oh-hint oh-break">{`${setting.name} = ${setting.value}`}</code>
                          ))}
                        </span>
                        {may && (
                          <span className="oh-line-end">
                            <Button kind="empty" onClick={() => setEditing({ index: i, entry: e })}>
                              {t('action.edit')}
                            </Button>
                            <IconButton icon="trash" label={t('schedule.remove', { name: e.name })} onClick={() => put(entries.filter((_, j) => j !== i))} />
                          </span>
                        )}
                      </li>
                    ))}
                  </ul>
                </>
              )}
              {editing && (
                <EditEntry
                  service={s.id!}
                  entry={editing.entry}
                  others={entries.filter((_, j) => j !== editing.index)}
                  busy={save.isPending}
                  problem={save.error}
                  onClose={() => setEditing(null)}
                  onSave={(entry) => put(editing.index < 0 ? [...entries, entry] : entries.map((e, j) => (j === editing.index ? entry : e)))}
                />
              )}
            </>
          );
        }}
      </Loaded>
    </Card>
  );
}

/** An entry as the API takes it back: without what it adds itself. */
function plain(entry: Schemas['ScalingScheduleEntry']): Entry {
  const { name, weekdays, startHourUtc, endHourUtc, autoscalingMode, minReplicaMemoryGb, maxReplicaMemoryGb, numReplicas, minReplicas, maxReplicas, idleScaling, idleTimeoutMinutes, clickhouseSettings } = entry as never as Entry;
  const all = replicasTyped({ name, weekdays, startHourUtc, endHourUtc, autoscalingMode, minReplicaMemoryGb, maxReplicaMemoryGb, numReplicas, minReplicas, maxReplicas, idleScaling, idleTimeoutMinutes, clickhouseSettings } as Entry);
  return Object.fromEntries(Object.entries(all).filter(([, v]) => v !== undefined && v !== null)) as unknown as Entry;
}

function EditEntry({ service, entry, others, busy, problem, onSave, onClose }: { service: string; entry: Entry; others: Entry[]; busy: boolean; problem: unknown; onSave: (entry: Entry) => void; onClose: () => void }) {
  const { t, number } = useWords();
  const days = useWeekdays();
  const [e, setE] = useState(entry);
  const [settings, setSettings] = useState(() => settingsTyped(entry.clickhouseSettings));
  const [tried, setTried] = useState(false);
  const clash = overlap([...others, e]);
  const hours = Array.from({ length: 25 }, (_, h) => ({ value: String(h), label: `${h}:00` }));
  const memory = numbers(MEMORY, e.maxReplicaMemoryGb).map((n) => ({ value: String(n), label: `${number(n)} GB` }));
  const horizontal = e.autoscalingMode === 'horizontal';
  const counts = [...new Set([...REPLICAS, e.numReplicas, e.minReplicas, e.maxReplicas])].flatMap((n) => n ?? []).sort((a, b) => a - b).map((n) => ({ value: String(n), label: number(n) }));
  return (
    <Dialog title={t('schedule.edit')} onClose={onClose}>
      <form
        className="oh-form"
        onSubmit={(event) => {
          event.preventDefault();
          setTried(true);
          if (!e.name.trim() || !e.weekdays.length || clash || settings.some((setting) => !setting.value.trim())) return;
          const { clickhouseSettings: _, ...rest } = e;
          const sent = settingsSent(settings);
          onSave({ ...rest, name: e.name.trim(), ...(sent ? { clickhouseSettings: sent } : {}) } as Entry);
        }}
      >
        <TextInput label={t('schedule.name')} value={e.name} onChange={(name) => setE({ ...e, name })} error={tried && !e.name.trim() && t('schedule.nameNeeded')} autoFocus maxLength={100} />
        <fieldset className="oh-days">
          <legend>{t('schedule.days')}</legend>
          {[1, 2, 3, 4, 5, 6, 0].map((d) => (
            <Check key={d} label={days[d]} checked={e.weekdays.includes(d)} onChange={(on) => setE({ ...e, weekdays: on ? [...e.weekdays, d].sort() : e.weekdays.filter((x) => x !== d) })} />
          ))}
        </fieldset>
        {tried && !e.weekdays.length && <Notice state="danger">{t('schedule.daysNeeded')}</Notice>}
        <div className="oh-columns">
          <Select label={t('schedule.from')} value={String(e.startHourUtc)} onChange={(v) => setE({ ...e, startHourUtc: Number(v) })} options={hours.slice(0, 24)} />
          <Select label={t('schedule.to')} value={String(e.endHourUtc)} onChange={(v) => setE({ ...e, endHourUtc: Number(v) })} options={hours.slice(1)} />
        </div>
        <div className="oh-columns">
          <Select label={t('scaling.min')} value={String(e.minReplicaMemoryGb ?? 8)} onChange={(v) => setE({ ...e, minReplicaMemoryGb: Number(v), maxReplicaMemoryGb: Math.max(Number(v), e.maxReplicaMemoryGb ?? 8) })} options={memory} />
          <Select label={t('scaling.max')} value={String(e.maxReplicaMemoryGb ?? 8)} onChange={(v) => setE({ ...e, maxReplicaMemoryGb: Number(v), minReplicaMemoryGb: Math.min(Number(v), e.minReplicaMemoryGb ?? 8) })} options={memory} />
          {horizontal ? (
            <>
              <Select label={t('schedule.minReplicas')} value={String(e.minReplicas ?? 1)} onChange={(v) => setE({ ...e, minReplicas: Number(v), maxReplicas: Math.max(Number(v), e.maxReplicas ?? 1) })} options={counts} />
              <Select label={t('schedule.maxReplicas')} value={String(e.maxReplicas ?? 1)} onChange={(v) => setE({ ...e, maxReplicas: Number(v), minReplicas: Math.min(Number(v), e.minReplicas ?? 1) })} options={counts} />
            </>
          ) : (
            <Select label={t('create.replicas')} value={String(e.numReplicas ?? 1)} onChange={(v) => setE({ ...e, numReplicas: Number(v) })} options={counts} />
          )}
        </div>
        <StretchSettings service={service} settings={settings} tried={tried} onChange={setSettings} />
        {clash && <Notice state="danger">{t('schedule.overlap', { name: [...others, e][clash[0]]!.name })}</Notice>}
        {problem ? <Problem problem={problem} /> : null}
        <div className="oh-form-actions">
          <Button onClick={onClose}>{t('action.cancel')}</Button>
          <Button submit kind="primary" busy={busy}>
            {t('form.save')}
          </Button>
        </div>
      </form>
    </Dialog>
  );
}

function UpgradeWindow({ service: s }: { service: Service }) {
  const { t } = useWords();
  const { can } = useSession();
  const days = useWeekdays();
  const query = useApi('upgradeWindowGet', { path: { serviceId: s.id! } });
  const [draft, setDraft] = useState<Window | null>(null);
  const done = () => {
    setDraft(null);
    announce(t('form.saved'));
  };
  const save = useChange('upgradeWindowUpdate', done);
  const remove = useChange('upgradeWindowDelete', done);
  const missing = query.error?.status === 404;
  const saved = (missing ? null : query.data) as Window | null | undefined;
  const now = draft ?? saved;
  return (
    <Card title={t('window.title')}>
      <p className="oh-muted">{t('window.what')}</p>
      {query.error && !missing ? (
        <Problem problem={query.error} retry={() => query.refetch()} />
      ) : can('upgradeWindowUpdate') ? (
        <div className="oh-form">
          <div className="oh-columns">
            <Select
              label={t('window.day')}
              value={now ? String(now.weekday) : ''}
              onChange={(v) => setDraft(v === '' ? null : { weekday: Number(v), startHourUtc: now?.startHourUtc ?? 0 })}
              options={[{ value: '', label: t('window.any') }, ...[1, 2, 3, 4, 5, 6, 0].map((d) => ({ value: String(d), label: days[d]! }))]}
            />
            <Select
              label={t('window.hour')}
              value={String(now?.startHourUtc ?? 0)}
              disabled={!now}
              onChange={(v) => setDraft({ weekday: now?.weekday ?? 0, startHourUtc: Number(v) as Window['startHourUtc'] })}
              options={[0, 6, 12, 18].map((h) => ({ value: String(h), label: `${h}:00–${h + 6}:00 UTC` }))}
            />
          </div>
          {(save.error || remove.error) && <Problem problem={save.error ?? remove.error} />}
          <div className="oh-form-actions">
            {saved && (
              <Button busy={remove.isPending} onClick={() => remove.mutate({ path: { serviceId: s.id! } })}>
                {t('window.remove')}
              </Button>
            )}
            <Button disabled={!draft} busy={save.isPending} onClick={() => draft && save.mutate({ path: { serviceId: s.id! }, body: draft })}>
              {t('form.save')}
            </Button>
          </div>
        </div>
      ) : (
        <p>{now ? `${days[now.weekday]}, ${now.startHourUtc}:00–${now.startHourUtc + 6}:00 UTC` : t('window.any')}</p>
      )}
    </Card>
  );
}
