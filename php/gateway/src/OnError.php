<?php

declare(strict_types=1);

namespace PushGateway;

/** What becomes of a send or a close that fails and would give no answer. Calls that give one throw in any case. */
enum OnError: string
{
    case Throw = 'throw';
    case Log = 'log';
}
