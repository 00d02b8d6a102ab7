// ClickHouse's own settings of a service: which can be set, which are, and setting them.
import { useMemo, useState } from 'react';
import { useApi, useChange } from '../api/hooks';
import type { Schemas } from '../api/client';
import { useSession } from '../app/session';
import { humanize, useWords } from '../i18n';
import { Card, Empty, IconButton, Notice, Select, TextInput } from '../ui/basics';
import { Confirm } from '../ui/dialog';
import { Loaded } from '../ui/errors';
import { List, type Column } from '../ui/table';
import { announce } from '../ui/toast';

type Entry = Schemas['ServiceClickhouseSettingSchemaEntry'];
interface Row extends Entry {
  value: string | null;
}

/** What a setting does, in the reader's language; a setting that the catalogues do not know yet, as the API says it. */
function what(e: Entry, word: (prefix: string, value?: string | null) => string): string {
  const own = word('clickhouse.what', e.name);
  return own === humanize(e.name ?? '') ? (e.description ?? '') : own;
}

const WARNINGS = [
  [/embedded engine serves it/, 'embedded'],
  [/^Changing it restarts/, 'restarts'],
  [/^Queries may behave/, 'behave'],
  [/^Queries that need more/, 'memory'],
  [/^Queries that need longer/, 'longer'],
  [/^Many small parts/, 'parts'],
  [/^Dates and times/, 'times'],
] as const;

export function ServiceClickHouse({ service: s }: { service: Schemas['Service'] }) {
  const { t, word } = useWords();
  const { can } = useSession();
  const path = { serviceId: s.id! };
  const schema = useApi('serviceClickhouseSettingsSchemaGet', { path });
  const set = useApi('serviceClickhouseSettingsListGet', { path });
  const [editing, setEditing] = useState<Row | null>(null);
  const reset = useChange('serviceClickhouseSettingDelete', () => announce(t('clickhouse.wasReset')));
  const rows = useMemo<Row[]>(() => {
    const values = new Map((set.data?.settings ?? []).map((v) => [v.name, v.value ?? '']));
    return (schema.data?.settings ?? []).map((e) => ({ ...e, value: values.get(e.name) ?? null }));
  }, [schema.data, set.data]);
  const may = can('serviceClickhouseSettingsUpdate');
  const columns = useMemo<Column<Row>[]>(
    () => [
      {
        key: 'name',
        title: t('clickhouse.setting'),
        width: 'minmax(14rem, 3fr)',
        value: (r) => `${r.name} ${what(r, word)}`,
        render: (r) => (
          <div>
            <code className="oh-break">{r.name}</code>
            <span className="oh-hint">{what(r, word)}</span>
          </div>
        ),
      },
      {
        key: 'value',
        title: t('clickhouse.value'),
        width: 'minmax(8rem, 1fr)',
        value: (r) => r.value,
        render: (r) => (r.value === null ? <span className="oh-muted">{t('clickhouse.default')}</span> : <code className="oh-break">{r.value}</code>),
      },
      ...(may
        ? [
            {
              key: 'acts',
              title: '',
              width: '8rem',
              end: true,
              render: (r: Row) => (
                <span className="oh-line-end">
                  <IconButton icon="gear" label={t('clickhouse.set', { name: r.name ?? '' })} onClick={() => setEditing(r)} />
                  {r.value !== null && can('serviceClickhouseSettingDelete') && (
                    <IconButton icon="refresh" label={t('clickhouse.reset', { name: r.name ?? '' })} onClick={() => reset.mutate({ path: { ...path, settingName: r.name! } })} />
                  )}
                </span>
              ),
            },
          ]
        : []),
    ],
    [t, word, may, s.id],
  );
  return (
    <Card title={t('clickhouse.title')}>
      <p className="oh-muted">{t('clickhouse.lead')}</p>
      {reset.error && <Notice state="danger">{reset.error.message}</Notice>}
      <Loaded query={schema}>
        {() => <Loaded query={set}>{() => <List label={t('clickhouse.title')} rows={rows} columns={columns} rowKey={(r) => r.name!} empty={<Empty title={t('clickhouse.none')} />} />}</Loaded>}
      </Loaded>
      {editing && <Edit service={s} row={editing} onClose={() => setEditing(null)} />}
    </Card>
  );
}

function Edit({ service: s, row, onClose }: { service: Schemas['Service']; row: Row; onClose: () => void }) {
  const { t, word } = useWords();
  const known = WARNINGS.find(([form]) => form.test(row.warning ?? ''));
  const flag = row.enum?.join() === '0,1';
  const [value, setValue] = useState(row.value ?? (flag ? '1' : ''));
  const change = useChange('serviceClickhouseSettingsUpdate', () => {
    announce(t('form.saved'));
    onClose();
  });
  return (
    <Confirm
      title={t('clickhouse.set', { name: row.name ?? '' })}
      act={t('form.save')}
      busy={change.isPending}
      problem={change.error}
      onClose={onClose}
      onConfirm={() => change.mutate({ path: { serviceId: s.id! }, body: { settings: { [row.name!]: value } as never } })}
    >
      {row.warning && <Notice state="warning">{known ? t(`clickhouse.warning.${known[1]}`) : row.warning}</Notice>}
      {row.deprecationNotice && <Notice state="warning">{row.deprecationNotice}</Notice>}
      {flag ? (
        <Select
          label={t('clickhouse.value')}
          hint={what(row, word)}
          value={value}
          onChange={setValue}
          options={[
            { value: '1', label: t('form.on') },
            { value: '0', label: t('form.off') },
          ]}
        />
      ) : (
        <TextInput
          label={t('clickhouse.value')}
          hint={[what(row, word), row.example && t('clickhouse.example', { value: row.example })].filter(Boolean).join(' ')}
          value={value}
          onChange={setValue}
          inputMode={row.type === 'integer' ? 'numeric' : 'text'}
          spellCheck={false}
          autoFocus
          required
        />
      )}
    </Confirm>
  );
}
