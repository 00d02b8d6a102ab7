// Under the policy sealed no password and no key is made here: the command that makes it on the customer's device.
import { useApi } from '../api/hooks';
import type { Schemas } from '../api/client';
import { useSession } from '../app/session';
import { useWords } from '../i18n';
import { commandLine } from '../lib/consent';
import { Notice } from '../ui/basics';
import { CodeBlock } from '../ui/code';

/** By infrastructure, for everybody who may see the organization. `asking`: it is not known yet. */
export function usePolicyModes(): { asking: boolean; isSealed: (infrastructureId: string | undefined) => boolean; anySealed: boolean } {
  const { can } = useSession();
  const query = useApi('organizationGet', {}, { enabled: can('organizationGet') });
  const list = (query.data as Schemas['Organization'] | undefined)?.byocConfig ?? [];
  const sealed = new Set(list.filter((b) => b.ownhouse?.policyMode === 'sealed').map((b) => b.id));
  return { asking: can('organizationGet') && !query.data, isSealed: (id) => !!id && sealed.has(id), anySealed: sealed.size > 0 };
}

/** `after`: what is to be done then; without it, that the change has to be signed. */
export function SealedNotice({ what, command, after }: { what: string; command: string[] | string; after?: string }) {
  const { t } = useWords();
  return (
    <div className="oh-stack">
      <Notice state="info" title={t('sealed.title')}>{t('sealed.why')}</Notice>
      <p>{what}</p>
      <CodeBlock label={what} text={typeof command === 'string' ? command : commandLine(command)} />
      <p className="oh-hint">{after ?? t('sealed.sign')}</p>
    </div>
  );
}
