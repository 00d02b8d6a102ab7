// Changes: what, who, from where, with which request.
import { useCallback, useMemo, useState, type ReactNode } from 'react';
import type { Schemas } from '../api/client';
import { useWords } from '../i18n';
import { Facts, Time } from '../ui/basics';
import { Copyable } from '../ui/code';
import { Dialog } from '../ui/dialog';
import { List, type Column } from '../ui/table';

export type Activity = Schemas['Activity'];

/** Who it was: by name where there is one. */
export function useActor(): (a: Activity) => string {
  const { word, named } = useWords();
  return useCallback((a) => named('actor.name', a.actorDetails) || word('actor', a.actorType), [word, named]);
}

export function ActivityList({ activities, empty, tools }: { activities: Activity[]; empty: ReactNode; tools?: ReactNode }) {
  const { t, word } = useWords();
  const [shown, setShown] = useState<Activity | null>(null);
  const who = useActor();
  const columns = useMemo<Column<Activity>[]>(
    () => [
      { key: 'when', title: t('activity.when'), width: '13rem', value: (a) => a.createdAt, render: (a) => <Time value={a.createdAt} exact /> },
      {
        key: 'what',
        title: t('activity.what'),
        width: 'minmax(12rem, 2fr)',
        value: (a) => `${word('activity.type', a.type)} ${a.details ?? ''}`,
        render: (a) => (
          <button type="button" className="oh-link" onClick={() => setShown(a)}>
            {word('activity.type', a.type)}
          </button>
        ),
      },
      { key: 'who', title: t('activity.who'), value: who, render: who },
      { key: 'from', title: t('activity.from'), width: '9rem', value: (a) => a.actorIpAddress, render: (a) => a.actorIpAddress ?? '–', minor: true },
    ],
    [t, word, who],
  );
  return (
    <>
      <List label={t('nav.activities')} rows={activities} columns={columns} rowKey={(a) => a.id!} sort={{ key: 'when', down: true }} empty={empty} tools={tools} />
      {shown && (
        <Dialog title={word('activity.type', shown.type)} onClose={() => setShown(null)}>
          <Facts
            items={[
              [t('activity.when'), <Time value={shown.createdAt} exact />],
              [t('activity.who'), shown.actorDetails ? `${who(shown)} (${word('actor', shown.actorType)})` : who(shown)],
              [t('activity.from'), shown.actorIpAddress],
              [t('activity.program'), shown.userAgent],
              [t('activity.details'), shown.details],
              shown.serviceId ? [t('service.id'), <Copyable text={shown.serviceId} />] : null,
              shown.infrastructureId ? [t('infrastructure.id'), <Copyable text={shown.infrastructureId} />] : null,
              shown.requestId ? [t('error.requestId'), <Copyable text={shown.requestId} />] : null,
            ]}
          />
        </Dialog>
      )}
    </>
  );
}
