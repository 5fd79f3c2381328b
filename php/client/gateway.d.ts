/** What PHP pushes: JSON objects with a type. */
export interface Message {
    type: string;
    [property: string]: any;
}

/** By which the gateway's init message lets PHP know a connection. */
export interface Identity {
    client_id: string;
    proof?: string;
}

export interface Options {
    /**
     * Where on this site to ask for a connect token before each attempt, by POST, or what gets one, or a token itself.
     * Without one the page connects as nobody.
     */
    token?: string | null | (() => string | null | Promise<string | null>);
    /** Whether the token travels in the URL (the default) or as a subprotocol, which no proxy logs. */
    tokenIn?: 'query' | 'protocol';
    /** Subprotocols to offer; the gateway chooses "gateway" alone. */
    protocols?: string[];
    /**
     * Where to post client_id and proof once connected, on this site, or what does it. A rejection and a Response with status
     * 429 or 5xx are tried again; another Response that is not ok is final.
     */
    bind?: string | null | ((identity: Identity, signal: AbortSignal) => unknown);
    /** The header X-CSRF-Token of these posts; by default the content of <meta name="csrf-token">. */
    csrf?: string | null | (() => string | null | undefined | Promise<string | null | undefined>);
    /** Milliseconds below which the first delay is; the limit doubles with each attempt. 1,000 */
    minDelay?: number;
    /** The highest limit while the page can be seen, in milliseconds. 30,000 */
    maxDelay?: number;
    /** The highest limit while it is hidden, in milliseconds. 300,000 */
    hiddenMaxDelay?: number;
    /** What an attempt may take, getting the token included, in milliseconds. 15,000 */
    connectTimeout?: number;
    /** Sent to see whether somebody answers; only for applications that answer it. */
    ping?: string | object | null;
    /** Milliseconds between two looks at the connection. 30,000 */
    pingInterval?: number;
    /** Milliseconds within which anything has to come after a ping. 10,000 */
    pingTimeout?: number;
    /** From 0 to 1, for the delays. */
    random?: () => number;
}

export type State = 'connecting' | 'open' | 'waiting' | 'closed';

export interface CloseEvent extends Event {
    readonly code: number;
    readonly reason: string;
    /** Whether it will connect again by itself. */
    readonly again: boolean;
}

export interface ReconnectingEvent extends Event {
    /** Counts from 1. */
    readonly attempt: number;
    readonly delay: number;
}

export interface BoundEvent extends Event {
    readonly clientId: string;
}

export interface RawEvent extends Event {
    readonly data: string | ArrayBuffer;
}

/** Shown on the console, unless its default is prevented. */
export interface ErrorEvent extends Event {
    readonly where: 'token' | 'connect' | 'bind';
    readonly message: string;
    readonly cause: unknown;
    /** Of the answer to a bind, or of where a token was asked for. */
    readonly status?: number;
}

export interface Events {
    open: Event;
    bound: BoundEvent;
    close: CloseEvent;
    reconnecting: ReconnectingEvent;
    error: ErrorEvent;
    raw: RawEvent;
}

export class Gateway extends EventTarget {
    /** Connects at once. The URL may be relative to the page; http: and https: mean ws: and wss:. */
    constructor(url: string | URL, options?: Options);

    /** Asks once, as the option `token` does with an address. */
    static token(
        url: string,
        options?: {csrf?: Options['csrf']; signal?: AbortSignal},
    ): Promise<string | null>;

    readonly state: State;
    /** Of this connection, once its init message has come. */
    readonly clientId: string | null;

    /** Calls the handler with each message of this type, or of any for "*". The returned function takes it away again. */
    on<M extends Message = Message>(type: M['type'] | '*', handler: (message: M) => void): () => void;
    once<M extends Message = Message>(type: M['type'] | '*', handler: (message: M) => void): () => void;
    off(type: string, handler: (message: any) => void): void;

    /** False when it is not open: nothing is kept for later. */
    send(message: string | object): boolean;
    /** After the end, or to wait no longer. */
    connect(): void;
    /** Until connect(). */
    close(): void;

    addEventListener<E extends keyof Events>(
        type: E,
        listener: ((event: Events[E]) => void) | {handleEvent(event: Events[E]): void} | null,
        options?: boolean | AddEventListenerOptions,
    ): void;
    removeEventListener<E extends keyof Events>(
        type: E,
        listener: ((event: Events[E]) => void) | {handleEvent(event: Events[E]): void} | null,
        options?: boolean | EventListenerOptions,
    ): void;
}

declare global {
    /** Where gateway.global.js is loaded. */
    interface Window {
        Gateway: typeof Gateway;
    }
}
