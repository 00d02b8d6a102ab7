// Name, release channel, labels, core files.
import { useState, type FormEvent } from 'react';
import { useChange } from '../api/hooks';
import type { Schemas } from '../api/client';
import { useSession } from '../app/session';
import { useWords } from '../i18n';
import { settingsPatch, type Settings, type Tag } from '../lib/patches';
import { Button, Card, Check, Facts, Notice, Select, TextInput } from '../ui/basics';
import { Problem } from '../ui/errors';
import { announce } from '../ui/toast';
import { tagText } from './Services';
import { TagEditor } from './Tags';

export function ServiceSettings({ service: s }: { service: Schemas['Service'] }) {
  const { t, word } = useWords();
  const { can } = useSession();
  const saved: Settings = { name: s.name ?? '', channel: s.releaseChannel ?? 'default', dumps: s.enableCoreDumps ?? false, tags: (s.tags ?? []) as Tag[] };
  const [draft, setDraft] = useState<{ from: Settings; to: Settings } | null>(null);
  const change = useChange('instanceUpdate', () => {
    setDraft(null);
    announce(t('form.saved'));
  });
  const now = draft?.to ?? saved;
  const set = (part: Partial<Settings>) => setDraft({ from: draft?.from ?? saved, to: { ...now, ...part } });
  const patch = draft ? settingsPatch(draft.from, draft.to) : {};
  const moved = draft && JSON.stringify(draft.from) !== JSON.stringify(saved);
  if (!can('instanceUpdate'))
    return (
      <Card title={t('service.settings')}>
        <Facts
          items={[
            [t('service.name'), s.name],
            [t('service.channel'), word('channel', s.releaseChannel)],
            [t('service.tags'), saved.tags.map(tagText).join(', ')],
            [t('service.dumps'), t(saved.dumps ? 'form.on' : 'form.off')],
          ]}
        />
      </Card>
    );
  return (
    <Card title={t('service.settings')}>
      <form
        className="oh-form"
        onSubmit={(e: FormEvent) => {
          e.preventDefault();
          if (Object.keys(patch).length) change.mutate({ path: { serviceId: s.id! }, body: patch });
        }}
      >
        {moved && <Notice state="warning">{t('form.changedElsewhere')}</Notice>}
        <TextInput label={t('service.name')} hint={t('service.rename.hint')} value={now.name} onChange={(name) => set({ name })} maxLength={50} required />
        <Select label={t('service.channel')} hint={t('service.channel.hint')} value={now.channel} onChange={(channel) => set({ channel })} options={['slow', 'default', 'fast'].map((c) => ({ value: c, label: word('channel', c) }))} />
        <TagEditor tags={now.tags} onChange={(tags) => set({ tags })} />
        <Check label={t('service.dumps.allow')} hint={t('service.dumps.hint')} checked={now.dumps} onChange={(dumps) => set({ dumps })} />
        {change.error && <Problem problem={change.error} />}
        <div className="oh-form-actions">
          {draft && <Button onClick={() => setDraft(null)}>{t('form.discard')}</Button>}
          <Button submit kind="primary" busy={change.isPending} disabled={!Object.keys(patch).length}>
            {t('form.save')}
          </Button>
        </div>
      </form>
    </Card>
  );
}
