// The API as React sees it: what is on the screen is asked for again whenever an event says that something changed.
import { QueryClient, useMutation, useQuery, useQueryClient, type UseQueryResult } from '@tanstack/react-query';
import { useRef } from 'react';
import { ApiError, call, type Input, type Operation, type Result } from './client';

/** Until what could not be had, though tried several times, is asked for once more. */
const LOST_MS = 5000;

export const queryClient = new QueryClient({
  defaultOptions: {
    // Whether there is a network is for each call to find out: one that waits in silence looks like one that hangs.
    queries: {
      networkMode: 'always',
      staleTime: 2000,
      retry: (count, problem) => problem instanceof ApiError && problem.temporary && count < 4,
      retryDelay: (count) => Math.min(500 * 2 ** count, 5000),
      refetchOnWindowFocus: true,
    },
    mutations: { retry: false, networkMode: 'always' },
  },
});

export function useApi<O extends Operation>(
  operation: O,
  input: Input<O> = {},
  { again, ...options }: { enabled?: boolean; refetchInterval?: number; again?: (data: Result<O> | undefined) => number | false } = {},
): UseQueryResult<Result<O>, ApiError> {
  const queryKey = [operation, input.path ?? null, input.query ?? null];
  const result = useQuery<Result<O>, ApiError>({
    queryKey,
    // An answer without a result becomes null: undefined would mean that there is no answer.
    queryFn: async ({ signal }) => ((await call(operation, input, signal)) ?? null) as Result<O>,
    // What the line has lost comes by itself, without a press on Try again and without an event.
    refetchInterval: (query) => (query.state.error?.temporary ? Math.max(LOST_MS, query.state.error.retryAfter * 1000) : (again?.(query.state.data) ?? false)),
    ...options,
  });
  return useLastError(JSON.stringify(queryKey), result);
}

/** What was refused stays refused until there is an answer: asking again, as every event does, is no reason to blink. */
function useLastError<T>(key: string, result: UseQueryResult<T, ApiError>): UseQueryResult<T, ApiError> {
  const last = useRef<{ key: string; error: ApiError } | null>(null);
  if (result.error) last.current = { key, error: result.error };
  else if (result.data !== undefined || last.current?.key !== key) last.current = null;
  if (result.error || !last.current) return result;
  return { ...result, error: last.current.error, status: 'error', isError: true, isPending: false, isLoading: false, isLoadingError: true } as UseQueryResult<T, ApiError>;
}

/** A change. On success everything on the screen is asked for anew; the event that follows does it in other browsers. */
export function useChange<O extends Operation>(operation: O, done?: (result: Result<O>) => void) {
  const client = useQueryClient();
  return useMutation<Result<O>, ApiError, Input<O>>({
    mutationFn: (input) => call(operation, input),
    onSuccess: (result) => {
      void client.invalidateQueries();
      done?.(result);
    },
  });
}
