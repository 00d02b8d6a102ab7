// Words in the reader's language: catalogues of messages, and dates and numbers by locale.
import { createContext, useContext, useEffect, useMemo, useState, type ReactNode } from 'react';
import { en } from './en';

export type Key = keyof typeof en;
export type Catalogue = Record<Key, string>;
export type Language = 'en' | 'zh';

export const languages: Record<Language, { name: string; locale: string }> = {
  en: { name: 'English', locale: 'en' },
  zh: { name: '简体中文', locale: 'zh-Hans' },
};

type Values = Record<string, string | number>;

/** A message with {names} filled in. With {n}, a message KEY_one is taken where the language says so. */
export function format(catalogue: Catalogue, locale: string, key: Key, values?: Values): string {
  let text: string = catalogue[key];
  if (values && typeof values['n'] === 'number') {
    const form = `${key}_${new Intl.PluralRules(locale).select(values['n'])}` as Key;
    text = catalogue[form] ?? text;
  }
  if (!values) return text;
  return text.replace(/\{(\w+)\}/g, (whole, name: string) => {
    const value = values[name];
    return value === undefined ? whole : typeof value === 'number' ? new Intl.NumberFormat(locale).format(value) : value;
  });
}

/** A word of the API that has no message yet: service_update_name → Service update name. */
export function humanize(value: string): string {
  return /^[a-z]+(_[a-z]+)+$/.test(value) ? value.charAt(0).toUpperCase() + value.slice(1).replaceAll('_', ' ') : value;
}

/** The first language that we have among those that the browser asks for. */
export function preferred(wanted: readonly string[]): Language {
  for (const one of wanted) {
    const base = one.toLowerCase().split('-')[0];
    if (base === 'zh' || base === 'en') return base;
  }
  return 'en';
}

export interface Words {
  language: Language;
  locale: string;
  setLanguage: (language: Language) => void;
  t: (key: Key, values?: Values) => string;
  /** A message whose key is put together from what the API says; the fallback is the API's own word. */
  word: (prefix: string, value: string | undefined | null) => string;
  /** A name that this product gave and that has a message; any other name as it is. */
  named: (prefix: string, name: string | undefined | null) => string;
  number: (value: number, options?: Intl.NumberFormatOptions) => string;
  date: (value: string | number | Date, options?: Intl.DateTimeFormatOptions) => string;
  ago: (value: string | number | Date, now?: number) => string;
  /** Some of the same kind, one after the other. */
  list: (items: (string | undefined)[]) => string;
  /** Whole sentences, one after the other. */
  sentences: (...items: string[]) => string;
}

const Context = createContext<Words | null>(null);

export function useWords(): Words {
  const words = useContext(Context);
  if (!words) throw new Error('no words');
  return words;
}

const STEPS: [Intl.RelativeTimeFormatUnit, number][] = [
  ['day', 86400],
  ['hour', 3600],
  ['minute', 60],
  ['second', 1],
];

export function ago(locale: string, seconds: number): string {
  const [unit, size] = STEPS.find(([, s]) => Math.abs(seconds) >= s) ?? STEPS[3]!;
  return new Intl.RelativeTimeFormat(locale, { numeric: 'auto' }).format(Math.round(seconds / size), unit);
}

function words(language: Language, catalogue: Catalogue, setLanguage: (l: Language) => void): Words {
  const { locale } = languages[language];
  return {
    language,
    locale,
    setLanguage,
    t: (key, values) => format(catalogue, locale, key, values),
    word: (prefix, value) => (value ? (catalogue[`${prefix}.${value}` as Key] ?? humanize(value)) : ''),
    named: (prefix, name) => (name ? (catalogue[`${prefix}.${name}` as Key] ?? name) : ''),
    number: (value, options) => new Intl.NumberFormat(locale, options).format(value),
    date: (value, options) =>
      new Intl.DateTimeFormat(locale, options ?? { dateStyle: 'medium', timeStyle: 'short' }).format(new Date(value)),
    list: (items) => items.filter(Boolean).join(catalogue['list.and']),
    sentences: (...items) => items.filter(Boolean).join(language === 'zh' ? '' : ' '),
    ago: (value, now = Date.now()) => ago(locale, (new Date(value).getTime() - now) / 1000),
  };
}

const KEY = 'ownhouse-language';

export function WordsProvider({ children }: { children: ReactNode }) {
  const [language, set] = useState<Language>(() => {
    const kept = localStorage.getItem(KEY);
    return kept === 'en' || kept === 'zh' ? kept : preferred(navigator.languages);
  });
  const [catalogue, setCatalogue] = useState<{ language: Language; words: Catalogue }>({ language: 'en', words: en });
  useEffect(() => {
    document.documentElement.lang = languages[language].locale;
    let current = true;
    if (language === 'en') setCatalogue({ language, words: en });
    else void import('./zh').then(({ zh }) => current && setCatalogue({ language, words: zh }));
    return () => {
      current = false;
    };
  }, [language]);
  const value = useMemo(
    () =>
      words(catalogue.language, catalogue.words, (next) => {
        localStorage.setItem(KEY, next);
        set(next);
      }),
    [catalogue],
  );
  // Until the catalogue is here nothing is shown: no flash of another language.
  return <Context.Provider value={value}>{catalogue.language === language ? children : null}</Context.Provider>;
}
