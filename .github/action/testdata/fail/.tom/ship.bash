echo shipped
