// The API as React sees it: what is on the screen is asked for again whenever an event says that something changed.
import { QueryClient, useMutation, useQuery, useQueryClient, type UseQueryResult } from '@tanstack/react-query';
import { ApiError, call, type Input, type Operation, type Result } from './client';

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
  options: { enabled?: boolean; refetchInterval?: number } = {},
): UseQueryResult<Result<O>, ApiError> {
  return useQuery<Result<O>, ApiError>({
    queryKey: [operation, input.path ?? null, input.query ?? null],
    // An answer without a result becomes null: undefined would mean that there is no answer.
    queryFn: async ({ signal }) => ((await call(operation, input, signal)) ?? null) as Result<O>,
    ...options,
  });
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
