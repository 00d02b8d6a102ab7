// The console's beginning.
import 'click-ui-dist/theme/styles/tokens-light.css';
import 'click-ui-dist/theme/styles/tokens-dark.css';
import 'click-ui-dist/theme/styles/global.css';
import './styles/frame.css';
import './styles/forms.css';
import './styles/details.css';
import './styles/consent.css';
import { QueryClientProvider } from '@tanstack/react-query';
import { RouterProvider } from '@tanstack/react-router';
import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { queryClient } from './api/hooks';
import { router } from './app/router';
import { SessionProvider } from './app/session';
import { WordsProvider } from './i18n';
import { apply } from './theme';

apply();
createRoot(document.getElementById('root')!).render(
  <StrictMode>
    <WordsProvider>
      <QueryClientProvider client={queryClient}>
        <SessionProvider>
          <RouterProvider router={router} />
        </SessionProvider>
      </QueryClientProvider>
    </WordsProvider>
  </StrictMode>,
);
