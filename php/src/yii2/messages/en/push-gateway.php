<?php

declare(strict_types=1);

return [
    'A token is to be asked for by POST.' => 'A token is to be asked for by POST.',
    'another user has logged in' => 'another user has logged in',
    'Answer within' => 'Answer within',
    'as in php.ini' => 'as in php.ini',
    'away for too long' => 'away for too long',
    'away, coming back' => 'away, coming back',
    'begun anew' => 'begun anew',
    'Bytes' => 'Bytes',
    'Clients' => 'Clients',
    'closed by this site' => 'closed by this site',
    'connected' => 'connected',
    'connected to another gateway' => 'connected to another gateway',
    'connected, messages may be missing: {reason}' => 'connected, messages may be missing: {reason}',
    'connected, missed messages recovered: {n}' => 'connected, missed messages recovered: {n}',
    'connecting' => 'connecting',
    'disconnected' => 'disconnected',
    'everybody' => 'everybody',
    'Failure' => 'Failure',
    'Gateway' => 'Gateway',
    'Give one of --binary and --text.' => 'Give one of --binary and --text.',
    'Group' => 'Group',
    'Groups' => 'Groups',
    'Method' => 'Method',
    'Nobody can be left out of --client=….' => 'Nobody can be left out of --client=….',
    'Nobody is logged in.' => 'Nobody is logged in.',
    'Only the first {n} are shown.' => 'Only the first {n} are shown.',
    'Receivers' => 'Receivers',
    'Register address' => 'Register address',
    'Sent to {n, plural, =0{nobody, since no client is online} one{1 client} other{# clients}}.' =>
        'Sent to {n, plural, =0{nobody, since no client is online} one{1 client} other{# clients}}.',
    'some of them cannot be sent again' => 'some of them cannot be sent again',
    'That is no JSON: {why}.' => 'That is no JSON: {why}.',
    'The client_id is to be posted.' => 'The client_id is to be posted.',
    'The client_id of the init message is missing or is none.' =>
        'The client_id of the init message is missing or is none.',
    'the gateway does not know this page' => 'the gateway does not know this page',
    'the gateway was restarted' => 'the gateway was restarted',
    'The message comes first: yii gateway/send MESSAGE --uid=…' =>
        'The message comes first: yii gateway/send MESSAGE --uid=…',
    'The proof of the init message is missing, or is not that of the client_id.' =>
        'The proof of the init message is missing, or is not that of the client_id.',
    'The push gateway cannot be reached.' => 'The push gateway cannot be reached.',
    'Time' => 'Time',
    'To whom? Give one of --uid=…, --group=…, --client=… and --all.' =>
        'To whom? Give one of --uid=…, --group=…, --client=… and --all.',
    'too much came meanwhile' => 'too much came meanwhile',
    'Uids' => 'Uids',
    'Whom does --{option} leave out? Give --{option}=…, several separated by commas.' =>
        'Whom does --{option} leave out? Give --{option}=…, several separated by commas.',
    '{id} is no client_id.' => '{id} is no client_id.',
    '{n} calls of the gateway in {ms} ms, {failures} failed' =>
        '{n} calls of the gateway in {ms} ms, {failures} failed',
];
