<?php

declare(strict_types=1);

namespace PushGateway\Exception;

/**
 * A call that did not take effect, or of which that is not known: the gateway is away, refuses it, or does not answer in time.
 * The code says which of these it is, by the numbers that the extension's exceptions have, and is 0 where that is not known.
 */
class CallFailed extends \RuntimeException implements GatewayExceptionInterface
{
    /** No gateway could be reached, or the connection was lost. */
    public const UNREACHABLE = 1;

    /** The gateway has not answered in time. */
    public const TIMEOUT = 2;

    /** The gateway has refused the secret, the token or the call. */
    public const REFUSED = 3;

    /** The call was given something wrong. */
    public const ARGUMENT = 4;

    /** What answers is no gateway. */
    public const PROTOCOL = 5;
}
