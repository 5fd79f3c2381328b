<?php

declare(strict_types=1);

namespace PushGateway\Exception;

/**
 * A call that did not take effect, or of which that is not known: the gateway is away, refuses it, or does not answer in time.
 */
class CallFailed extends \RuntimeException implements GatewayExceptionInterface
{
}
