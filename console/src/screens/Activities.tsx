// The record of changes, narrowed and saved.
import { useMemo, useState } from 'react';
import { useApi } from '../api/hooks';
import { useWords } from '../i18n';
import { saveFile, toCsv } from '../lib/csv';
import { Button, Empty } from '../ui/basics';
import { Loaded } from '../ui/errors';
import { Page } from '../ui/page';
import { ActivityList, useActor, type Activity } from './ActivityList';

const groups: Record<string, RegExp> = {
  services: /^(service|backup)_/,
  infrastructures: /^(infrastructure|account|agent)_/,
  people: /^(organization_(member|invite)|user|role)_?/,
  keys: /^(key|openapi_key)_/,
};

const DAYS = ['1', '7', '30', '90', ''];

export function Activities() {
  const { t, word } = useWords();
  const who = useActor();
  const [days, setDays] = useState('30');
  const [group, setGroup] = useState('');
  const [actor, setActor] = useState('');
  const from = useMemo(() => (days ? new Date(Math.floor(Date.now() / 3600000) * 3600000 - Number(days) * 86400000).toISOString() : ''), [days]);
  const query = useApi('activityGetList', { query: from ? ({ from_date: from }) : undefined });
  const all = query.data as Activity[] | undefined;
  const actors = useMemo(() => [...new Set(all?.map((a) => who(a)))].filter(Boolean).sort(), [all, who]);
  const shown = useMemo(
    () => (all ?? []).filter((a) => (!group || groups[group]!.test(a.type ?? '')) && (!actor || who(a) === actor)),
    [all, group, actor, who],
  );
  const narrowed = group || actor;
  return (
    <Page
      title={t('nav.activities')}
      lead={t('activities.lead')}
      actions={
        <>
          <Button icon="download" disabled={!shown.length} onClick={() => saveFile('activities.csv', 'text/csv', toCsv(shown as Record<string, unknown>[]))}>
            {t('activities.csv')}
          </Button>
          <Button icon="download" disabled={!shown.length} onClick={() => saveFile('activities.json', 'application/json', JSON.stringify(shown, null, 2))}>
            {t('activities.json')}
          </Button>
        </>
      }
    >
      <div className="oh-filters">
        <select className="oh-input oh-select" aria-label={t('activities.period')} value={days} onChange={(e) => setDays(e.target.value)}>
          {DAYS.map((d) => (
            <option key={d} value={d}>
              {d ? t('activities.days', { n: Number(d) }) : t('activities.always')}
            </option>
          ))}
        </select>
        <select className="oh-input oh-select" aria-label={t('activities.group')} value={group} onChange={(e) => setGroup(e.target.value)}>
          <option value="">{t('activities.allGroups')}</option>
          {Object.keys(groups).map((g) => (
            <option key={g} value={g}>
              {word('activities.group', g)}
            </option>
          ))}
        </select>
        <select className="oh-input oh-select" aria-label={t('activity.who')} value={actor} onChange={(e) => setActor(e.target.value)}>
          <option value="">{t('activities.anybody')}</option>
          {actors.map((a) => (
            <option key={a}>{a}</option>
          ))}
        </select>
      </div>
      <Loaded query={query} lines={10}>
        {() => (
          <ActivityList
            activities={shown}
            empty={
              <Empty
                title={t(narrowed || days ? 'list.nothingFound' : 'activities.empty')}
                action={
                  (narrowed || days) && (
                    <Button
                      onClick={() => {
                        setGroup('');
                        setActor('');
                        setDays('');
                      }}
                    >
                      {t('list.clearFilters')}
                    </Button>
                  )
                }
              />
            }
          />
        )}
      </Loaded>
    </Page>
  );
}
