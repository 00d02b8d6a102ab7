// Short words about what was just done, read out by screen readers too.
import { useEffect, useState } from 'react';
import { Icon } from './Icon';

type State = 'success' | 'warning';
interface Note {
  id: number;
  text: string;
  state: State;
}

let put: ((note: Note) => void) | null = null;
let next = 1;

export function announce(text: string, state: State = 'success') {
  put?.({ id: next++, text, state });
}

export function Announcements() {
  const [notes, setNotes] = useState<Note[]>([]);
  useEffect(() => {
    put = (note) => {
      setNotes((all) => [...all.slice(-2), note]);
      setTimeout(() => setNotes((all) => all.filter((n) => n.id !== note.id)), 6000);
    };
    return () => {
      put = null;
    };
  }, []);
  return (
    <div className="oh-toasts" role="status" aria-live="polite">
      {notes.map((n) => (
        <div key={n.id} className={`oh-toast is-${n.state}`}>
          <Icon name={n.state === 'success' ? 'check-in-circle' : 'warning'} size="sm" /> {n.text}
        </div>
      ))}
    </div>
  );
}
