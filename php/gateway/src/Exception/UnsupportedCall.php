<?php

declare(strict_types=1);

namespace PushGateway\Exception;

/** A call that this way to the gateway cannot make, whatever the gateway's state. */
class UnsupportedCall extends \LogicException implements GatewayExceptionInterface
{
}
