<?php

declare(strict_types=1);

namespace PushGateway\Exception;

/** All that a gateway throws by itself. */
interface GatewayExceptionInterface extends \Throwable
{
}
