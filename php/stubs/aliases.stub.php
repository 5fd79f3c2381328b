<?php

/**
 * The other names of the classes of `gateway.stub.php`, for editors and analysers: classes that extend them, where the extension
 * has one class with many names. This file is never loaded.
 */

namespace {
    class Gateway extends \PushGateway\Gateway
    {
    }

    class GatewayEvents extends \PushGateway\GatewayEvents
    {
    }

    class GatewayException extends \PushGateway\GatewayException
    {
    }
}

namespace GatewayClient {
    class Gateway extends \PushGateway\Gateway
    {
    }
}

namespace GatewayWorker\Lib {
    class Gateway extends \PushGateway\Gateway
    {
    }
}
