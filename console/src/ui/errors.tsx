// What went wrong, with what to do and the id that the log has it under.
import type { UseQueryResult } from '@tanstack/react-query';
import { useState, type ReactNode } from 'react';
import { ApiError } from '../api/client';
import { useWords, type Words } from '../i18n';
import { Button, Notice, Skeleton } from './basics';

export function explain(problem: unknown, { t, number }: Words): { title: string; text: string; requestId: string } {
  if (!(problem instanceof ApiError)) return { title: t('error.page'), text: String(problem), requestId: '' };
  const { status, message, requestId } = problem;
  const said = message ? message.charAt(0).toUpperCase() + message.slice(1) + (/[.!?]$/.test(message) ? '' : '.') : '';
  if (status === 0) return { title: t('error.offline'), text: t('error.offline.do'), requestId: '' };
  if (status === 401) return { title: t('error.signedOut'), text: said || t('error.signedOut.do'), requestId };
  if (status === 403) return { title: t('error.forbidden'), text: `${said} ${t('error.forbidden.do')}`, requestId };
  if (status === 404) return { title: t('error.missing'), text: t('error.missing.do'), requestId };
  if (status === 429) return { title: t('error.tooOften'), text: said || t('error.tooOften.do', { n: problem.retryAfter || 10 }), requestId };
  if (status >= 500) return { title: t('error.server'), text: `${said} ${t('error.server.do')}`, requestId };
  return { title: t('error.refused'), text: said || t('error.status', { status: number(status) }), requestId };
}

export function Problem({ problem, retry }: { problem: unknown; retry?: () => unknown }) {
  const words = useWords();
  const { title, text, requestId } = explain(problem, words);
  const [busy, setBusy] = useState(false);
  const again = async () => {
    setBusy(true);
    await retry?.();
    setBusy(false);
  };
  return (
    <Notice state="danger" title={title} action={retry && <Button busy={busy} onClick={() => void again()}>{words.t('action.retry')}</Button>}>
      {text}
      {requestId && (
        <div className="oh-request-id">
          {words.t('error.requestId')} <code>{requestId}</code>
        </div>
      )}
    </Notice>
  );
}

/** The answer of a query once it is there; what is on the screen stays while it is asked for again. */
export function Loaded<T>({ query, lines, children }: { query: UseQueryResult<T, ApiError>; lines?: number; children: (data: T) => ReactNode }) {
  if (query.data !== undefined) return <>{children(query.data)}</>;
  if (query.error) return <Problem problem={query.error} retry={() => query.refetch()} />;
  return <Skeleton lines={lines} />;
}
