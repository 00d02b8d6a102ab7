// The organization's name, settings and limits.
import { useState } from 'react';
import { useApi, useChange } from '../api/hooks';
import type { Schemas } from '../api/client';
import { useSession } from '../app/session';
import { useWords, type Key } from '../i18n';
import { Button, Card, Check, Facts, TextInput, Time } from '../ui/basics';
import { Copyable } from '../ui/code';
import { Loaded, Problem } from '../ui/errors';
import { Page } from '../ui/page';
import { announce } from '../ui/toast';

type Organization = Schemas['Organization'];
type Quota = Schemas['OrganizationQuota'];

export function Settings() {
  const { t, number, word } = useWords();
  const organization = useApi('organizationGet');
  const quotas = useApi('organizationQuotasGetList');
  return (
    <Page title={t('nav.settings')}>
      <Card title={t('settings.organization')}>
        <Loaded query={organization}>{(o) => <Form key={(o as Organization).id} organization={o as Organization} />}</Loaded>
      </Card>
      <Card title={t('settings.quotas')}>
        <Loaded query={quotas}>
          {(list) => (
            <ul className="oh-quotas">
              {(list as Quota[])
                .filter((q) => q.quotaCode !== 'postgres-services-per-organization')
                .map((q) => (
                  <li key={q.quotaCode}>
                    <div>
                      <strong>{word('quota', q.quotaCode) || q.name}</strong>
                      <span className="oh-muted">{word('quota.scope', q.scope)}</span>
                    </div>
                    {q.usage === undefined ? (
                      <span>{t('settings.atMost', { n: q.value })}</span>
                    ) : (
                      <>
                        <progress max={q.value} value={q.usage} aria-label={word('quota', q.quotaCode)} />
                        <span>{t('settings.used', { used: number(q.usage), all: number(q.value) })}</span>
                      </>
                    )}
                  </li>
                ))}
            </ul>
          )}
        </Loaded>
      </Card>
    </Page>
  );
}

function Form({ organization: o }: { organization: Organization }) {
  const { t } = useWords();
  const { can, ask } = useSession();
  const [name, setName] = useState(o.name ?? '');
  const [dumps, setDumps] = useState(o.enableCoreDumps ?? false);
  const change = useChange('organizationUpdate', () => {
    announce(t('form.saved'));
    ask();
  });
  const facts = (
    <Facts
      items={[
        can('organizationUpdate') ? null : [t('settings.name'), o.name],
        [t('settings.id'), <Copyable text={o.id!} />],
        [t('service.created'), <Time value={o.createdAt} />],
        can('organizationUpdate') ? null : [t('service.dumps'), t((o.enableCoreDumps ? 'form.on' : 'form.off') as Key)],
      ]}
    />
  );
  if (!can('organizationUpdate')) return facts;
  const changed = name.trim() !== o.name || dumps !== (o.enableCoreDumps ?? false);
  return (
    <form
      className="oh-form"
      onSubmit={(e) => {
        e.preventDefault();
        change.mutate({ body: { ...(name.trim() !== o.name ? { name: name.trim() } : {}), ...(dumps !== (o.enableCoreDumps ?? false) ? { enableCoreDumps: dumps } : {}) } });
      }}
    >
      {facts}
      <TextInput label={t('settings.name')} value={name} onChange={setName} maxLength={100} required />
      <Check label={t('service.dumps.allow')} hint={t('settings.dumps.hint')} checked={dumps} onChange={setDumps} />
      {change.error && <Problem problem={change.error} />}
      <div className="oh-form-actions">
        <Button submit kind="primary" busy={change.isPending} disabled={!changed}>
          {t('form.save')}
        </Button>
      </div>
    </form>
  );
}
