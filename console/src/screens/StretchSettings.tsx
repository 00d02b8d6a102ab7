// ClickHouse's settings for the hours of a stretch of the week.
import { useApi } from '../api/hooks';
import { useSession } from '../app/session';
import { useWords } from '../i18n';
import type { Setting } from '../lib/stretches';
import { Button, IconButton, Select, TextInput } from '../ui/basics';
import { Problem } from '../ui/errors';

export function StretchSettings({ service, settings, tried, onChange }: { service: string; settings: Setting[]; tried: boolean; onChange: (settings: Setting[]) => void }) {
  const { t } = useWords();
  const { can } = useSession();
  const may = can('serviceClickhouseSettingsUpdate');
  const schema = useApi('serviceClickhouseSettingsSchemaGet', { path: { serviceId: service } }, { enabled: may });
  const known = schema.data?.settings ?? [];
  const names = known.map((k) => k.name ?? '');
  const free = names.filter((n) => !settings.some((s) => s.name === n));
  const set = (index: number, part: Partial<Setting>) => onChange(settings.map((s, i) => (i === index ? { ...s, ...part } : s)));
  return (
    <fieldset className="oh-settings">
      <legend>{t('clickhouse.title')}</legend>
      <p className="oh-hint">{t(may ? 'schedule.settings.what' : 'schedule.settings.mayNot')}</p>
      {settings.map((s, i) =>
        may ? (
          <div className="oh-inline" key={i}>
            <Select
              label={t('clickhouse.setting')}
              value={s.name}
              onChange={(name) => set(i, { name })}
              options={[s.name, ...free].sort().map((n) => ({ value: n, label: n }))}
            />
            <TextInput
              label={t('clickhouse.value')}
              error={tried && !s.value.trim() && t('schedule.settings.valueNeeded')}
              hint={known.find((k) => k.name === s.name)?.example ? t('clickhouse.example', { value: known.find((k) => k.name === s.name)!.example! }) : undefined}
              value={s.value}
              onChange={(value) => set(i, { value })}
              spellCheck={false}
              autoComplete="off"
            />
            <IconButton icon="trash" label={t('schedule.remove', { name: s.name })} onClick={() => onChange(settings.filter((_, j) => j !== i))} />
          </div>
        ) : (
          <p key={i}>
            <code className="oh-break">{`${s.name} = ${s.value}`}</code>
          </p>
        ),
      )}
      {schema.error && <Problem problem={schema.error} retry={() => schema.refetch()} />}
      {may && (
        <div className="oh-actions">
          <Button icon="plus" busy={schema.isPending} disabled={!free.length} onClick={() => onChange([...settings, { name: free[0]!, value: '' }])}>
            {t('schedule.settings.add')}
          </Button>
        </div>
      )}
    </fieldset>
  );
}
