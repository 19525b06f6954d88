/** Files on their way to the server while the message that will carry them is written. */
import type { Client } from "@urql/core";
import { useState } from "preact/hooks";
import { said } from "../api/refusal";
import { upload } from "../api/upload";
import type { File as Sent } from "../state/unsent";

export interface Uploading {
  key: number;
  file: File;
  /** 0 to 1. */
  share: number;
  /** Once all of it is there. */
  id: string | null;
  failure: string | null;
  stop: AbortController;
}

export interface Uploads {
  files: readonly Uploading[];
  isReady: boolean;
  hasFailed: boolean;
  add(files: readonly File[]): void;
  remove(key: number): void;
  sent(): Sent[];
  clear(): void;
}

/** What one message can carry. */
const MOST = 10;
let lastKey = 0;

export function useUploads(client: Client): Uploads {
  const [files, setFiles] = useState<readonly Uploading[]>([]);
  const change = (key: number, news: Partial<Uploading>) =>
    setFiles((all) => all.map((one) => (one.key === key ? { ...one, ...news } : one)));

  const start = (file: File): Uploading => {
    const key = ++lastKey;
    const stop = new AbortController();
    upload(client, file, { signal: stop.signal, onProgress: (share) => change(key, { share }) }).then(
      (id) => change(key, { id, share: 1 }),
      (caught: unknown) => change(key, { failure: said(caught) }),
    );
    return { key, file, share: 0, id: null, failure: null, stop };
  };
  return {
    files,
    isReady: files.every(({ id }) => id !== null),
    hasFailed: files.some(({ failure }) => failure !== null),
    add: (added) => setFiles([...files, ...added.slice(0, MOST - files.length).map(start)]),
    remove: (key) => {
      files.find((one) => one.key === key)?.stop.abort();
      setFiles((all) => all.filter((one) => one.key !== key));
    },
    sent: () =>
      files.flatMap(({ id, file }) =>
        id ? [{ id, filename: file.name, contentType: file.type, byteSize: file.size }] : [],
      ),
    clear: () => setFiles([]),
  };
}
