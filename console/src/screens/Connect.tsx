// How to connect a client: lines that work when pasted.
import { useState } from 'react';
import { useApi } from '../api/hooks';
import type { Schemas } from '../api/client';
import { useSession } from '../app/session';
import { useWords, type Key } from '../i18n';
import { connectLines, PASSWORD_PLACE, type Client, type Target } from '../lib/connect';
import { saveFile } from '../lib/csv';
import { Button, Facts, Notice, Skeleton } from '../ui/basics';
import { CodeBlock, Copyable } from '../ui/code';
import { Tabs } from '../ui/tabs';
import { freshPassword } from './freshPasswords';

const clients: Client[] = ['curl', 'clickhouse', 'python', 'node', 'go', 'java', 'csharp', 'browser'];

export function useTarget(service: Schemas['Service']): Target | null {
  const { can } = useSession();
  const may = can('infrastructureGet') && !!service.byocId;
  const query = useApi('infrastructureGet', { path: { infrastructureId: service.byocId ?? '' } }, { enabled: may });
  const https = service.endpoints?.find((e) => e.protocol === 'https');
  const native = service.endpoints?.find((e) => e.protocol === 'nativesecure');
  if (!https || (may && query.isPending)) return null;
  return {
    host: https.host ?? '',
    port: https.port ?? 443,
    user: https.username ?? 'default',
    password: freshPassword(service.id!),
    localPort: service.ownhouse?.localPort || null,
    ca: (query.data as Schemas['Infrastructure'] | undefined)?.caCertificate ?? null,
    native: native ? { host: native.host ?? '', port: native.port ?? 9440 } : null,
  };
}

export function Connect({ service, onReset }: { service: Schemas['Service']; onReset?: () => void }) {
  const { t } = useWords();
  const target = useTarget(service);
  const [client, setClient] = useState<Client>('curl');
  if (!service.endpoints?.some((e) => e.protocol === 'https')) return <Notice>{t('connect.notYet')}</Notice>;
  if (!target) return <Skeleton />;
  return (
    <div className="oh-stack">
      {target.password ? (
        <Notice state="warning" title={t('connect.once')}>
          <div className="oh-secret">
            <Copyable text={target.password} />
          </div>
          {t('connect.once.do')}
        </Notice>
      ) : (
        <Notice title={t('connect.noPassword')} action={onReset && <Button onClick={onReset}>{t('password.reset')}</Button>}>
          {t('connect.noPassword.do', { place: PASSWORD_PLACE })}
        </Notice>
      )}
      {service.state !== 'running' && <Notice state={service.state === 'idle' ? 'info' : 'warning'}>{t(service.state === 'idle' ? 'connect.idle' : 'connect.notRunning')}</Notice>}
      <Tabs
        label={t('connect.client')}
        value={client}
        onChange={setClient}
        tabs={clients.map((value) => ({
          value,
          label: t(`connect.${value}` as Key),
          panel: () => {
            const text = connectLines(value, target);
            if (!text) return <Notice title={t('connect.noNative')}>{t(service.ownhouse?.engine === 'embedded' ? 'connect.noNative.embedded' : 'connect.noNative.unknown')}</Notice>;
            return (
              <div className="oh-stack">
                <p className="oh-muted">{t(`connect.${value}.how` as Key)}</p>
                <CodeBlock text={text} label={t(`connect.${value}` as Key)} />
              </div>
            );
          },
        }))}
      />
      <Facts
        items={[
          [t('connect.host'), <Copyable text={target.host} />],
          [t('connect.port'), <Copyable text={String(target.port)} />],
          [t('connect.user'), <Copyable text={target.user} />],
          service.ownhouse?.localPort ? [t('connect.localPort'), <Copyable text={`https://localhost:${service.ownhouse.localPort}`} />] : null,
        ]}
      />
      {target.ca && (
        <div className="oh-actions">
          <Button icon="download" onClick={() => saveFile('ownhouse-ca.pem', 'application/x-pem-file', target.ca!)}>
            {t('connect.downloadCa')}
          </Button>
        </div>
      )}
    </div>
  );
}
